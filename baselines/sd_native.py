"""Spectrum-aware distillation of a diffusion model, as its paper has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import SuiteError
from bench.losses.spectral import SpectralDistillation


class SDNative(SpectralDistillation):
    """Decoder features and predicted noise of teacher and student, in space and in frequency.

    The pairs are what the last block of each decoder level puts out, from the finest to the
    `levels`-th, and the noise; the adapters train with the student. Which clean image weights the
    frequencies is the batch's x_0, resized to each feature. The paper's third component, wavelet
    gates, is the network's (`sd_unet`), so that its Table 5 has combinations of both; without
    `frequency` this is distillation of features.

    The paper weights by the inverse spectrum of "a clean image"; the exponent, both weights and the
    pairs could not be read, and no official code was found. Choices of ours: exponent -1, both
    weights 0.1, means instead of sums, the terms on the noise and not on the image that it implies
    (whose error is the same one times up to 84 at late times), the magnitude averaged over channels
    and at least `floor` of its largest value. `spectrum_of`: the paper's words name one image, and
    then the weight is least where just this image is strongest, rare frequencies included;
    `batch` weighs by the mean spectrum of the batch.
    """

    defaults = {
        "spatial": 0.1,
        "frequency": 0.1,
        "exponent": -1.0,
        "levels": 4,
        "spectrum_of": "sample",
        "floor": 1e-3,
    }
    choices = {"spectrum_of": ("sample", "batch")}
    strength = ("spatial", "frequency")
    source = "Yang et al. (Diffusion Probabilistic Model Made Slim), CVPR 2023, section 4.2"
    tasks = ("diffusion", "signals")
    teachers = ("frozen", "same", "assistant")

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        if not 0 < params["floor"] <= 1:
            raise SuiteError(f"sd_native: floor: should be above 0, at most 1: {params['floor']}.")
        if params["levels"] < 0:
            raise SuiteError(f"sd_native: levels: should be at least 0: {params['levels']}.")
        self.hints = tuple(f"decoder{level}" for level in range(1, params["levels"] + 1))
