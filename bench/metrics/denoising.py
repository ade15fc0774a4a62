"""What one step of a diffusion model leaves of the noise in images, and of low and high bands."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics._one_step import OneStepMetric


class Denoising(OneStepMetric):
    """Error of a diffusion model's one step from held-out images with noise: no samples are made.

    At most `images` images of the split that is scored, at even distances, get noise that depends
    on an image's place and the time alone, so that all networks see the same. `noise_T`: mean
    squared error of the noise that the network finds, at each of `times`; `denoising` is the mean
    over them; finding no noise would give 1. `low_T` and `high_T`, at each of `bands_at`: error of
    the clean image that this implies, as `band_error` has it, on one level of Haar: the sum of
    |coefficient of the error| over that of |coefficient of the image|, of the low band and of the
    three bands of details, of images in [0, 1]. A value of 1 is what an image without that band
    would get. Times beyond 100 say nothing by band: every network is above 1 there.

    Neither is the measure of Spectral Diffusion's Table 1, which its text does not give.
    """

    defaults = {"images": 128, "times": [20, 100, 300, 600], "bands_at": [20, 50]}
    source = "Ho et al. (DDPM), NeurIPS 2020, eq. 14, at fixed times; errors by band: ours"
    label = "denoising error"
    digits = 3
    better = "lower"
    asked_at = ("times", "bands_at")
    headline = "denoising"
    undefined = "the held-out images have nothing in a band"

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
        from bench.maths.dwt import haar

        assert self.scene.denoise is not None
        square = 0.0
        missed, whole = np.zeros(4), np.zeros(4)  # by band
        for batch in self.batches(time):
            images, noise = batch["A"], batch["noise"]
            seen, clean = self.scene.denoise(batch)
            square += float((seen - noise).double().square().mean()) * len(images)
            missed += [float(x.abs().sum()) for x in haar((clean - images).double() / 2)]
            whole += [float(x.abs().sum()) for x in haar((images.double() + 1) / 2)]
        low, high = (_quotient(missed[some], whole[some]) for some in (slice(1), slice(1, 4)))
        return _Errors(square / self.count, low, high)


class _Errors(NamedTuple):
    noise: float
    low: float
    high: float


def _quotient(missed: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    return float(missed.sum() / whole.sum()) if whole.sum() else math.nan
