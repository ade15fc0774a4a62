"""NIMA: ratings that are known where the classifier is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import vgg16

from bench.errors import WeightsError
from bench.fetch import weights
from bench.metrics.nima import NIMA


def test_the_score_is_the_mean_rating_of_the_predicted_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights the classifier's bias alone decides; with them the image does."""
    file = tmp_path / "nima.pth"
    monkeypatch.setattr(weights, "find", lambda name: file)
    torch.manual_seed(0)
    state = {f"features.{n}": x for n, x in vgg16(weights=None).features.state_dict().items()}
    ratings = torch.tensor([0.0, 0.0, 0.1, 0.2, 0.4, 0.2, 0.1, 0.0, 0.0, 0.0])
    state |= {"classifier.1.weight": torch.zeros(10, 25088), "classifier.1.bias": ratings.log()}
    torch.save(state, file)
    images = torch.rand(3, 3, 40, 60)
    metric = NIMA({})
    metric.add(images, images)
    assert metric.value()["nima"] == pytest.approx(5.0, abs=1e-5)
    state["classifier.1.weight"] = torch.randn(10, 25088)
    torch.save(state, file)
    scores = []
    for image in images:
        metric = NIMA({})
        metric.add(image[None], image[None])
        scores.append(metric.value()["nima"])
    assert len(set(scores)) == 3
    assert all(1 <= score <= 10 for score in scores)


def test_another_file_is_no_nima(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "nima.pth"
    monkeypatch.setattr(weights, "find", lambda name: file)
    torch.save({"features.0.weight": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="no NIMA on VGG-16"):
        NIMA({})
