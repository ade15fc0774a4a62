"""Tones: the data set, and what is said of signals, against closed forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.kinds import DATASET, METRIC, TASK
from bench.contracts.metric import Scene, Setting
from bench.data.photo_crops import PhotoCrops
from bench.data.tones import Tones as Data
from bench.errors import DataError, SuiteError
from bench.maths.diffusion import alpha_bars
from bench.metrics.tone_errors import ToneErrors
from bench.metrics.tones import Tones

CPU = torch.device("cpu")
X = np.arange(64) / 64


def data(**given: Any) -> Data:
    return Data(DATASET.declaration("tones", "test").params(given, "test"))


def opened(dataset: Data, size: int = 64) -> Tones:
    metric = Tones(METRIC.declaration("tones", "test").params({}, "test"))
    metric.open(Scene(CPU, dataset, size))
    return metric


def images(signals: Any) -> torch.Tensor:
    """[N, S] in [-1, 1] -> [N, 3, S, S] in [0, 1]."""
    rows = torch.as_tensor(np.asarray(signals))[:, None, None]
    return rows.add(1).div(2).expand(-1, 3, rows.shape[-1], -1)


def test_each_tone_is_there_as_often_as_it_is_probable() -> None:
    found = data()
    tones = [found.frequency(index) for index in range(found.count("train", "A"))]
    counts = {tone: tones.count(tone) for tone in sorted(set(tones))}
    assert counts == {3: 150, 5: 75, 7: 45, 9: 21, 11: 9}
    assert found.count("train", "B") == 0
    thirds = data(frequencies=[2, 3, 5], probabilities=[1 / 3, 1 / 3, 1 / 3], signals=10)
    assert [thirds.frequency(index) for index in range(10)] == [2, 2, 2, 3, 3, 3, 3, 5, 5, 5]


def test_an_image_holds_its_signal_in_every_row_and_channel() -> None:
    image = data().read("train", "A", 299, 64)
    assert image.shape == (64, 64, 3)
    assert image.dtype == np.uint8
    assert (image == image[:1, :, :1]).all()
    np.testing.assert_allclose(image[0, :, 0] / 127.5 - 1, np.cos(22 * np.pi * X), atol=0.5 / 127)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frequencies": [3, 3, 7, 9, 11]}, "different whole numbers from 1 on"),
        ({"frequencies": [0, 5, 7, 9, 11]}, "different whole numbers from 1 on"),
        ({"probabilities": [0.5, 0.5]}, "5 numbers above 0 whose sum is 1"),
        ({"probabilities": [0.5, 0.2, 0.2, 0.2, 0.2]}, "whose sum is 1"),
        ({"probabilities": [0.6, 0.2, 0.2, 0.1, -0.1]}, "numbers above 0"),
        ({"signals": 10}, "10 signals are too few for one of each"),
    ],
)
def test_what_is_no_distribution_of_tones_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        data(**given)


def test_too_few_samples_are_refused_while_planning_and_reading() -> None:
    task = TASK.declaration("signals", "test").says
    with pytest.raises(SuiteError, match="a size of 22 holds frequencies below 11, not 11"):
        Tones.scoring({}, Setting(task, data(), "long tail", 22, "", 300))
    with pytest.raises(DataError, match="22 samples hold frequencies below 11, not 11"):
        data().read("train", "A", 299, 22)
    scoring = Tones.scoring({}, Setting(task, PhotoCrops({}), "photo_crops", 64, "", 300))
    assert scoring
    assert scoring.reason == "needs tones, and photo_crops has none"


def test_of_the_data_itself_every_share_is_the_datas_and_every_tone_pure() -> None:
    metric = opened(data())
    signals = np.stack([np.cos(2 * np.pi * k * X) for k in (3, 5, 7, 9, 11) for _ in range(2)])
    metric.add(images(signals), torch.empty(0))
    found = metric.value()
    assert found["tones"] == pytest.approx(0, abs=1e-12)
    assert [found[f"share_{k:02}"] for k in (3, 5, 7, 9, 11)] == [0.2] * 5
    assert [found[f"real_share_{k:02}"] for k in (3, 5, 7, 9, 11)] == [0.5, 0.25, 0.15, 0.07, 0.03]
    assert [found[f"purity_{k:02}"] for k in (3, 5, 7, 9, 11)] == pytest.approx([1.0] * 5)
    assert found["real_03"] == pytest.approx(0.5, abs=2e-3)  # 150 of 300, of 8 bits
    assert found["out_03"] == pytest.approx(0.2)
    assert found["out_04"] == pytest.approx(0, abs=1e-12)


def test_power_is_parted_as_parseval_has_it() -> None:
    """0.6 and 0.3 at tones, 0.2 elsewhere, and a mean: powers 0.36, 0.09 and 0.04 of 0.49."""
    signal = (
        0.6 * np.cos(2 * np.pi * 5 * X + 1)
        + 0.3 * np.sin(2 * np.pi * 11 * X)
        + 0.2 * np.cos(2 * np.pi * 20 * X)
        + 0.4
    )
    metric = opened(data())
    metric.add(images([signal, signal / 2]), torch.empty(0))
    found = metric.value()
    assert found["tones"] == pytest.approx(0.04 / 0.49)
    assert metric.each()["tones"] == pytest.approx([0.04 / 0.49] * 2)
    assert [found["share_05"], found["purity_05"]] == pytest.approx([1.0, 0.36 / 0.49])
    assert "purity_11" not in found
    assert [found[f"out_{k:02}"] for k in (5, 11, 20)] == pytest.approx([0.45, 0.225, 0.15])
    assert found["out_32"] == pytest.approx(0, abs=1e-12)
    flat = opened(data())
    flat.add(images(np.zeros((1, 64))), torch.empty(0))
    assert flat.value()["tones"] == 1.0


def test_scores_do_not_depend_on_batches() -> None:
    signals = np.random.default_rng(0).uniform(-1, 1, (6, 64))
    whole, parts = opened(data()), opened(data())
    whole.add(images(signals), torch.empty(0))
    for part in np.split(signals, [1, 4]):
        parts.add(images(part), torch.empty(0))
    assert whole.value() == pytest.approx(parts.value())


def test_an_error_is_that_of_the_tone_alone_and_all_see_the_same_noise() -> None:
    """A network that takes the noisy signal's own amplitude at 11 for noise, and finds the rest."""
    seen: list[torch.Tensor] = []
    bar = alpha_bars("linear", 1e-4, 0.02, 1000)[50].item()

    def denoise(batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(batch["noise"])
        assert batch["time"].tolist() == [50] * 8
        tone = torch.fft.rfft(batch["A"][:, :1])
        tone[..., torch.arange(33) != 11] = 0
        return batch["noise"] + bar**0.5 * torch.fft.irfft(tone), batch["A"]

    metric = ToneErrors(METRIC.declaration("tone_errors", "test").params({"noises": 8}, "test"))
    metric.open(Scene(CPU, data(), 64, denoise=denoise))
    found = metric.value()
    assert [found[f"error_{k:02}"] for k in (3, 5, 7, 9)] == pytest.approx([0] * 4, abs=1e-9)
    assert found["error_11"] == pytest.approx(bar / 2, rel=1e-5)  # the mean square of a cosine
    assert found["tone_errors"] == pytest.approx(bar / 10, rel=1e-5)
    assert all(torch.equal(noise, seen[0]) for noise in seen)
    assert seen[0].shape == (8, 1, 1, 64)


@pytest.mark.parametrize(
    ("given", "said"), [({"time": 1000}, "should be 0 to 999"), ({"noises": 0}, "at least 1")]
)
def test_errors_that_cannot_be_asked_for_are_said(given: dict[str, Any], said: str) -> None:
    task = TASK.declaration("signals", "test").says
    params = METRIC.declaration("tone_errors", "test").params(given, "test")
    setting = Setting(task, data(), "long tail", 64, "", 300, task_params=task.defaults)
    with pytest.raises(SuiteError, match=said):
        ToneErrors.scoring(params, setting)
    photos = setting._replace(dataset=PhotoCrops({}), name="photos")
    fine = METRIC.declaration("tone_errors", "test").params({}, "test")
    found = ToneErrors.scoring(fine, photos)
    assert found
    assert found.reason == "needs tones, and photos has none"
