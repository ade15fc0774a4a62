"""One step of denoising against closed forms and PyWavelets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from torch import Tensor

from bench.contracts.image import Pixels
from bench.contracts.kinds import METRIC, TASK
from bench.contracts.metric import Denoiser, Scene, Setting
from bench.data.photo_crops import PhotoCrops
from bench.errors import SuiteError
from bench.maths.diffusion import alpha_bars, implied, noised
from bench.metrics.denoising import Denoising

CROPS = PhotoCrops({})
Batch = Mapping[str, Tensor]


class Squares(PhotoCrops):
    """Every 2 x 2 square of pixels has one colour: there are no details."""

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        return super().read(split, domain, index, size // 2).repeat(2, 0).repeat(2, 1)


def measured(denoise: Denoiser, data: PhotoCrops = CROPS, **given: Any) -> dict[str, float]:
    metric = Denoising(METRIC.declaration("denoising", "test").params(given, "test"))
    metric.open(Scene(torch.device("cpu"), data, 16, denoise=denoise))
    return metric.value()


def test_whoever_knows_noise_and_image_makes_no_error() -> None:
    found = measured(lambda batch: (batch["noise"], batch["A"]))
    assert set(found.values()) == {0.0}
    assert list(found)[:2] == ["denoising", "noise_20"]
    assert set(found) == {
        "denoising", "noise_20", "noise_100", "noise_300", "noise_600",
        "low_20", "high_20", "low_50", "high_50",
    }  # fmt: skip


def test_an_image_without_details_is_all_wrong_there_and_right_in_the_low_band() -> None:
    def blurred(batch: Batch) -> tuple[Tensor, Tensor]:
        low = torch.nn.functional.avg_pool2d(batch["A"], 2)
        return torch.zeros_like(low), low.repeat_interleave(2, 2).repeat_interleave(2, 3)

    found = measured(lambda batch: (0 * batch["noise"], blurred(batch)[1]))
    assert found["high_20"] == pytest.approx(1, rel=1e-6)
    assert found["low_20"] == pytest.approx(0, abs=1e-6)
    assert found["noise_300"] == pytest.approx(1, abs=0.02)  # 98,304 numbers of N(0, 1)


def test_a_band_in_which_images_have_nothing_has_no_error() -> None:
    found = measured(lambda batch: (batch["noise"], batch["A"]), Squares({}))
    assert np.isnan(found["high_20"])
    assert found["low_20"] == 0


def test_errors_are_those_of_pywavelets_over_all_images() -> None:
    """A fixed error of the noise moves the clean image by -sqrt(1 / alpha_bar - 1) times it."""
    bars = alpha_bars("linear", 1e-4, 0.02, 1000)
    wrong = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))

    def denoise(batch: Batch) -> tuple[Tensor, Tensor]:
        bar = bars[batch["time"]]
        x, seen = noised(batch["A"], batch["noise"], bar), batch["noise"] + wrong
        return seen, implied(x, seen, bar)

    found = measured(denoise, images=70, times=[20, 600], bands_at=[50])
    square = wrong.double().square().mean().item()
    assert found["noise_600"] == pytest.approx(square, rel=1e-5)
    assert found["denoising"] == pytest.approx(square, rel=1e-5)
    error = -((1 / bars[50].item() - 1) ** 0.5) * wrong.double().numpy() / 2
    missed = pywt.dwt2(error, "haar")
    images = [
        CROPS.read("test", "A", 266 * i // 70, 16).transpose(2, 0, 1) / 255 for i in range(70)
    ]
    whole = [pywt.dwt2(image, "haar") for image in images]
    low = 70 * np.abs(missed[0]).sum() / sum(np.abs(x[0]).sum() for x in whole)
    high = 70 * np.abs(missed[1]).sum() / sum(np.abs(x[1]).sum() for x in whole)
    assert found["low_50"] == pytest.approx(low, rel=1e-4)
    assert found["high_50"] == pytest.approx(high, rel=1e-4)


def test_noise_depends_on_image_and_time_alone() -> None:
    seen: list[Batch] = []

    def watch(batch: Batch) -> tuple[Tensor, Tensor]:
        seen.append(batch)
        return batch["noise"], batch["A"]

    for times in ([20, 300], [300]):
        measured(watch, images=2, times=times, bands_at=[300])
    first, second, again = (batch["noise"] for batch in seen)
    assert torch.equal(second, again)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])


def test_images_are_of_the_split_that_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    real = PhotoCrops.read

    def noting(data: PhotoCrops, split: str, *place: Any) -> Any:
        read.add(split)
        return real(data, split, *place)

    monkeypatch.setattr(PhotoCrops, "read", noting)
    metric = Denoising(METRIC.declaration("denoising", "test").params({"images": 2}, "test"))

    def nothing(batch: Batch) -> tuple[Tensor, Tensor]:
        return batch["noise"], batch["A"]

    metric.open(Scene(torch.device("cpu"), CROPS, 16, split="train", denoise=nothing))
    metric.value()
    assert read == {"train"}


def setting(task: str = "diffusion", held_out: int = 266, **params: Any) -> Setting:
    says = TASK.declaration(task, "test").says
    params = {**says.defaults, **params}
    return Setting(says, CROPS, "photo_crops", 16, "", 1000, 6, held_out, params)


def asked(**given: Any) -> Callable[[Setting], Any]:
    params = METRIC.declaration("denoising", "test").params(given, "test")
    return lambda of: Denoising.scoring(params, of)


def test_what_cannot_be_asked_is_said_before_training() -> None:
    assert asked()(setting("paired")) is None
    found = asked()(setting())
    assert (found.protocol["split"], found.protocol["images"], found.reason) == ("test", 128, "")
    assert "no test split" in asked()(setting(held_out=0)).reason
    assert "sees codes" in asked()(setting()._replace(of_codes=True)).reason
    assert "sees signals" in asked()(setting("signals")).reason
    assert asked()(setting()._replace(split="val")).protocol["split"] == "val"
    for given, said in (
        ({"times": [1000]}, "times: should be times, 0 to 999"),
        ({"bands_at": []}, "bands_at: should be times"),
        ({"times": [0.5]}, "times: should be times"),
        ({"images": 0}, "images: should be at least 1"),
    ):
        with pytest.raises(SuiteError, match=said):
            asked(**given)(setting())
    with pytest.raises(SuiteError, match="0 to 99"):
        asked()(setting(times=100))
