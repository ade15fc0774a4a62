"""Content and style losses against numpy on the judge's levels, and their reference values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.image import Pixels
from bench.contracts.kinds import DATASET, METRIC, TASK
from bench.contracts.metric import Scene, Setting
from bench.data.style_photos import StylePhotos
from bench.metrics._judge import judge, recoloured, style

SIZE = 32
PAIRS = 3
CPU = torch.device("cpu")


def images(domain: str) -> torch.Tensor:
    """Return the first test images of a domain: [N, 3, S, S] in [0, 1]."""
    pixels = [StylePhotos({}).read("test", domain, i, SIZE) for i in range(PAIRS)]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float().div(255)


def scored(name: str, output: torch.Tensor) -> dict[str, float]:
    made: Any = METRIC.load(name, "test")({"judge": "random"})
    made.open(Scene(CPU, StylePhotos({}), SIZE))
    for first in range(0, PAIRS, 2):  # batches of two and one
        made.add(output[first : first + 2], images("A")[first : first + 2])
    found: dict[str, float] = made.value()
    return found


def levels(image: torch.Tensor) -> list[np.ndarray]:
    found = judge("random", StylePhotos({}), SIZE, CPU).levels(image[None])
    return [level[0].flatten(1).double().numpy() for level in found]


@pytest.fixture(scope="module")
def output() -> torch.Tensor:
    """Return something between content and style."""
    return images("A").lerp(images("B"), 0.3).mul(255).round().div(255)


def style_sums(output: torch.Tensor) -> np.ndarray:
    """Return the squared differences of covariances by pair and level, with `np.cov`."""
    rows = []
    for image, wanted in zip(output, images("B"), strict=True):
        pairs = zip(levels(image), levels(wanted), strict=True)
        rows.append(
            [np.square(np.cov(a, bias=True) - np.cov(b, bias=True)).sum() for a, b in pairs]
        )
    return np.array(rows)


def test_style_loss_is_numpys_and_says_what_unchanged_content_scores(output: torch.Tensor) -> None:
    found, sums = scored("style_loss", output), style_sums(output)
    assert found["style_loss"] == pytest.approx(sums.sum(1).mean(), rel=1e-6)
    for number in range(4):
        assert found[f"level{number + 1}"] == pytest.approx(sums[:, number].mean(), rel=1e-6)
    unchanged = style_sums(images("A")).sum(1).mean()
    assert found["unchanged"] == pytest.approx(unchanged, rel=1e-6)
    assert found["share"] == pytest.approx(found["style_loss"] / unchanged, rel=1e-6)
    moved = torch.cat(
        [recoloured(c[None], s[None]) for c, s in zip(images("A"), images("B"), strict=True)]
    )
    assert found["recoloured"] == pytest.approx(style_sums(moved).sum(1).mean(), rel=1e-6)


def test_the_content_scores_as_unchanged_and_the_style_scores_nothing() -> None:
    unchanged = scored("style_loss", images("A"))
    assert unchanged["style_loss"] == unchanged["unchanged"] > 0
    assert scored("style_loss", images("B"))["style_loss"] == 0


def test_content_loss_is_numpys(output: torch.Tensor) -> None:
    found, sums = scored("content_loss", output), []
    for image, content in zip(output, images("A"), strict=True):
        a, b = (x - x.mean(1, keepdims=True) for x in (levels(image)[-1], levels(content)[-1]))
        sums.append(np.square(a - b).sum())
    elements = levels(output[0])[-1].size
    assert found["content_loss"] == pytest.approx(np.mean(sums), rel=1e-6)
    assert found["mean"] == pytest.approx(np.mean(sums) / elements, rel=1e-6)
    assert scored("content_loss", images("A"))["content_loss"] == 0
    assert found["recoloured"] > 0


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_style_is_of_the_split_whose_outputs_are_scored(
    split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str, int]] = []
    read = StylePhotos.read

    def watched(self: StylePhotos, split: str, domain: str, index: int, size: int) -> Pixels:
        seen.append((split, domain, index))
        return read(self, split, domain, index, size)

    monkeypatch.setattr(StylePhotos, "read", watched)
    style(Scene(CPU, StylePhotos({}), SIZE, split=split), 2)
    assert seen == [(split, "B", 2)]


@pytest.mark.parametrize("name", ["style_loss", "content_loss"])
def test_every_pairs_own_value_is_kept(name: str, output: torch.Tensor) -> None:
    made: Any = METRIC.load(name, "test")({"judge": "random"})
    made.open(Scene(CPU, StylePhotos({}), SIZE))
    made.add(output, images("A"))
    each, values = made.each(), made.value()
    assert {len(own) for own in each.values()} == {PAIRS}
    assert {n: np.mean(own) for n, own in each.items()} == pytest.approx(
        {n: values[n] for n in each}
    )
    assert set(values) - set(each) <= {"share"}


def test_a_recoloured_image_has_the_styles_colours() -> None:
    """Means to a grey level; it is clamped and rounded."""
    content, style = torch.rand(1, 3, 40, 40) * 0.2 + 0.3, torch.rand(1, 3, 40, 40) * 0.3 + 0.4
    made = recoloured(content, style)
    torch.testing.assert_close(made.mean((2, 3)), style.mean((2, 3)), atol=1 / 255, rtol=0)
    wanted = style.var((2, 3), correction=0)
    torch.testing.assert_close(made.var((2, 3), correction=0), wanted, rtol=0.05, atol=0)


def setting(dataset: str, task: str) -> Setting:
    opened = DATASET.load(dataset, "test")({})
    return Setting(TASK.declaration(task, "test").says, opened, dataset, 64, "A", 16)


@pytest.mark.parametrize("name", ["content_loss", "style_loss"])
def test_who_judges_is_planned_and_data_without_styles_have_a_reason(name: str) -> None:
    cls = METRIC.declaration(name, "test").says
    scoring = cls.scoring({"judge": "random"}, setting("style_photos", "style"))
    assert scoring is not None
    assert scoring.reason == ""
    assert scoring.protocol["judge"] == "random, on style_photos"
    other = cls.scoring({"judge": "random"}, setting("photo_edges", "paired"))
    assert other is not None
    assert other.reason == "needs pairs of content and style, and photo_edges has none"
    assert cls.pretrained({"judge": "random"}) == []
    assert cls.pretrained({"judge": "vgg19"}) == ["vgg19"]
    assert list(cls.variants()) == [("judge: vgg19", {"judge": "vgg19"})]
