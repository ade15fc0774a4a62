"""What one step of a diffusion model leaves of the noise in images, and of low and high bands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contracts.metric import ImageMetric, Scene, Scoring, Setting
from bench.errors import SuiteError
from bench.maths.seed import derive

if TYPE_CHECKING:  # planning reads this file without torch
    from torch import Tensor

Values = NDArray[np.float32]

AT_ONCE = 64  # images in a batch
NOISES = ("times", "bands_at")


class Denoising(ImageMetric):
    """Error of a diffusion model's one step from held-out images with noise: no samples are made.

    At most `images` images of the test split, at even distances, get noise that depends on an
    image's place and the time alone, so that all networks see the same. `noise_T`: mean squared
    error of the noise that the network finds, at each of `times`; `denoising` is the mean over
    them. Images of no noise at all would be given 1. `low_T` and `high_T`, at each of `bands_at`:
    error of the clean image that this implies, as `band_error` has it, on one level of Haar: the
    sum of |coefficient of the error| over that of |coefficient of the image|, of the low band and
    of the three bands of details, of images in [0, 1]. A value of 1 is what an image without that
    band would get. Times beyond 100 say nothing by band: every network is above 1 there.

    Neither is the measure of Spectral Diffusion's Table 1, which its text does not give.
    """

    defaults = {"images": 128, "times": [20, 100, 300, 600], "bands_at": [20, 50]}
    source = "Ho et al. (DDPM), NeurIPS 2020, eq. 14, at fixed times; errors by band: ours"
    label = "denoising error"
    digits = 3
    better = "lower"
    needs = ("denoiser",)
    headline = "denoising"
    one_by_one = False
    undefined = "the held-out images have nothing in a band"

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return how many held-out images there are; None where nothing denoises.

        Raises:
            SuiteError: a time that the task does not have, or no time or image at all.
        """
        if not setting.task.denoises:
            return None
        last = setting.task_params["times"] - 1
        for name in NOISES:
            odd = [t for t in params[name] if not (isinstance(t, int) and 0 <= t <= last)]
            if odd or not params[name]:
                raise SuiteError(
                    f"denoising: {name}: should be times, 0 to {last}: {params[name]}."
                )
        if params["images"] < 1:
            raise SuiteError(f"denoising: images: should be at least 1: {params['images']}.")
        count = min(params["images"], setting.held_out)
        protocol = {"split": "test", "images": count, "output": "of one step, not rounded"}
        if not count:
            return Scoring(protocol, "needs held-out images, and the data have no test split")
        return Scoring(protocol)

    def open(self, scene: Scene) -> None:
        """Keep what will be asked."""
        self.scene = scene

    def add(self, output: Tensor, target: Tensor) -> None:
        """Pass over what the network makes."""

    def value(self) -> dict[str, float]:
        """Ask the network, and return its errors."""
        times, bands_at = self.params["times"], self.params["bands_at"]
        errors = {time: self._errors(time) for time in dict.fromkeys([*times, *bands_at])}
        noise = {f"noise_{time}": errors[time].noise for time in times}
        found = {"denoising": math.fsum(noise.values()) / len(noise)} | noise
        for time in bands_at:
            found |= {f"low_{time}": errors[time].low, f"high_{time}": errors[time].high}
        return found

    def _errors(self, time: int) -> _Errors:
        """Return the errors at one time, summed in float64."""
        import torch

        from bench.maths.dwt import haar

        scene = self.scene
        assert scene.dataset is not None
        assert scene.denoise is not None
        there = scene.dataset.count("test", "A")
        count = min(self.params["images"], there)
        places = [number * there // count for number in range(count)]
        square = 0.0
        missed, whole = np.zeros(4), np.zeros(4)  # by band
        for first in range(0, count, AT_ONCE):
            some = places[first : first + AT_ONCE]
            images, noise = (
                torch.from_numpy(np.stack(drawn)).to(scene.device)
                for drawn in zip(*(_drawn(scene, place, time) for place in some), strict=True)
            )
            times = torch.full((len(some),), time, device=scene.device)
            seen, clean = scene.denoise({"A": images, "noise": noise, "time": times})
            square += float((seen - noise).double().square().mean()) * len(some)
            missed += [float(x.abs().sum()) for x in haar((clean - images).double() / 2)]
            whole += [float(x.abs().sum()) for x in haar((images.double() + 1) / 2)]
        low, high = (_quotient(missed[some], whole[some]) for some in (slice(1), slice(1, 4)))
        return _Errors(square / count, low, high)


class _Errors(NamedTuple):
    noise: float
    low: float
    high: float


def _drawn(scene: Scene, place: int, time: int) -> tuple[Values, Values]:
    """Return a held-out image, [3, S, S] in [-1, 1], and the noise that it gets at a time."""
    assert scene.dataset is not None
    pixels = scene.dataset.read("test", "A", place, scene.size)
    image = pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    rng = np.random.default_rng(derive("held-out noise", place, time))
    return image, rng.standard_normal(image.shape, dtype=np.float32)


def _quotient(missed: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    return float(missed.sum() / whole.sum()) if whole.sum() else math.nan
