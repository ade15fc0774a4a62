"""Structural similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from bench.metric import ImageMetric


class SSIM(ImageMetric):
    """SSIM per channel in the form of Wang et al., mean over channels, then over images.

    Gaussian window 11 x 11 with sigma 1.5, population statistics, K 0.01 and 0.03, mean over
    windows that lie within the image, no downsampling.
    """

    source = "Wang et al., IEEE TIP 2004; skimage.metrics.structural_similarity"
    label = "SSIM"
    digits = 4
    better = "higher"
    needs = ("target",)
    checks = {
        "the same image": (
            torch.linspace(0, 1, 768).view(1, 3, 16, 16),
            torch.linspace(0, 1, 768).view(1, 3, 16, 16),
            {"ssim": 1.0},
        ),
        "two constants: the luminance term alone": (
            torch.full((1, 3, 16, 16), 0.2),
            torch.full((1, 3, 16, 16), 0.6),
            {"ssim": (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.scores: list[float] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Score each image by itself, in float64."""
        for a, b in zip(output.cpu().double().numpy(), target.cpu().double().numpy(), strict=True):
            score = structural_similarity(
                a,
                b,
                channel_axis=0,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            self.scores.append(float(score))

    def value(self) -> dict[str, float]:
        """Return the mean over images."""
        return {"ssim": sum(self.scores) / len(self.scores)}
