"""Error per frequency band: what WKD's Figure 1 shows of small generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import ImageMetric
from bench.maths.dwt import bands

LEAST = 1e-6  # below the smallest coefficient of an 8-bit image: rounding


class BandError(ImageMetric):
    """Normalised L1 distance between output and ground truth, one score per wavelet band.

    Three-level orthonormal Haar transform of the RGB images in [0, 1]. For each band, the sum of
    |coefficient of the output - coefficient of the ground truth| over all images, channels and
    positions, divided by the sum of |coefficient of the ground truth|. 0 is perfect; 1 is what an
    output without that band would get. The paper does not state its normalisation; this one makes
    bands of very different energy comparable, and scores of one data set at one size.
    """

    source = "Zhang et al. (WKD), CVPR 2022, Figure 1; normalisation: ours"
    label = "band error"
    presets = ("modern", "offline")
    better = "lower"
    needs = ("target",)
    checks = {
        "an output of zeros": (
            torch.zeros(1, 3, 8, 8),
            torch.linspace(0, 1, 192).square().view(1, 3, 8, 8),
            {"LL3": 1.0, "HL1": 1.0, "LH2": 1.0},
        ),
        "a tenth too bright: only the low band is off": (
            torch.full((1, 3, 8, 8), 0.5).add(torch.eye(8) * 0.3).add(0.1),
            torch.full((1, 3, 8, 8), 0.5).add(torch.eye(8) * 0.3),
            {"LL3": 0.1 / (0.5 + 0.3 / 8), "HH1": 0.0, "HH3": 0.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.error: dict[str, float] = {}
        self.energy: dict[str, float] = {}

    def add(self, output: Tensor, target: Tensor) -> None:
        """Add up both sums, in float64."""
        wanted = bands(target.double(), levels=3)
        missed = bands(output.double() - target.double(), levels=3)
        for band in wanted:
            self.error[band] = self.error.get(band, 0.0) + float(missed[band].abs().sum())
            self.energy[band] = self.energy.get(band, 0.0) + float(wanted[band].abs().sum())

    def value(self) -> dict[str, float]:
        """Return one score per band, LL3 first; NaN where the ground truth has none of a band."""
        return {
            band: error / self.energy[band] if self.energy[band] > LEAST else float("nan")
            for band, error in self.error.items()
        }
