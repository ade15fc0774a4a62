"""Peak signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import ImageMetric


class PSNR(ImageMetric):
    """PSNR over the three channels of each image, then the mean over images.

    Pooling the squared error over images first is another metric. Two identical images count as
    100 dB, so that a mean exists; 8-bit images that differ at all lie below that up to 10^5
    pixels.
    """

    source = "10 log10(1 / MSE), as skimage.metrics.peak_signal_noise_ratio with data_range 1"
    label = "PSNR"
    presets = ("paper", "modern", "offline")
    unit = "dB"
    better = "higher"
    needs = ("target",)
    checks = {
        "0.1 off everywhere": (
            torch.full((2, 3, 8, 8), 0.6),
            torch.full((2, 3, 8, 8), 0.5),
            {"psnr": 20.0},
        ),
        "the same image": (torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8), {"psnr": 100.0}),
        "mean of 20 and 40 dB, not PSNR of the mean error": (
            torch.tensor([0.1, 0.01]).view(2, 1, 1, 1).expand(2, 3, 8, 8),
            torch.zeros(2, 3, 8, 8),
            {"psnr": 30.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.scores: list[float] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Score each image by itself, in float64."""
        error = (output.double() - target.double()).square().mean(dim=(1, 2, 3))
        self.scores += (-10 * error.clamp_min(1e-10).log10()).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return the PSNR of each image."""
        return {"psnr": self.scores}
