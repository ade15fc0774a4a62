"""Structural similarity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.errors import DataError
from bench.metric import ImageMetric

RADIUS, SIGMA = 5, 1.5  # of the Gaussian window, in pixels
C1, C2 = 0.01**2, 0.03**2
_BELL = [math.exp(-(x**2) / (2 * SIGMA**2)) for x in range(-RADIUS, RADIUS + 1)]
WINDOW = [w / sum(_BELL) for w in _BELL]


class SSIM(ImageMetric):
    """SSIM per channel in the form of Wang et al., mean over channels, then over images.

    Gaussian window 11 x 11 with sigma 1.5, population statistics, K 0.01 and 0.03, mean over
    windows that lie within the image, no downsampling.
    """

    version = 2  # 1: float64 of scikit-image, from which 2 differs by less than 1e-6
    source = "Wang et al., IEEE TIP 2004, eq. 13-17"
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
        """Score each image by itself.

        Raises:
            DataError: the images are smaller than the window.
        """
        height, width = output.shape[-2:]
        if min(height, width) < len(WINDOW):
            raise DataError(
                f"ssim: images of {width}x{height} px are smaller than its window of "
                f"{len(WINDOW)}x{len(WINDOW)} px; score larger images, or leave ssim out."
            )
        pairs = zip(output, target, strict=True)
        self.scores += torch.stack([_similarity(a, b) for a, b in pairs]).tolist()

    def value(self) -> dict[str, float]:
        """Return the mean over images."""
        return {"ssim": sum(self.scores) / len(self.scores)}


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """[C, H, W] in [0, 1] twice -> [] float64, the mean over channels and windows.

    (Co)variances are those of the images less their means, where float32 loses no digits.
    """
    mean_a, mean_b = (x.mean((-1, -2), keepdim=True) for x in (a, b))
    maps = a.new_empty(4, *a.shape)
    x, y = torch.sub(a, mean_a, out=maps[0]), torch.sub(b, mean_b, out=maps[1])
    torch.mul(x, x, out=maps[2]).addcmul_(y, y)
    torch.mul(x, y, out=maps[3])
    x, y, variances, covariance = _blur(_blur(maps, -2), -1)
    variances.addcmul_(x, x, value=-1).addcmul_(y, y, value=-1)
    covariance.addcmul_(x, y, value=-1)
    x, y = x.add_(mean_a), y.add_(mean_b)
    luminance = (x * y).mul_(2).add_(C1).div_((x * x).addcmul_(y, y).add_(C1))
    structure = covariance.mul_(2).add_(C2).div_(variances.add_(C2))
    return torch.mean(luminance * structure, dtype=torch.float64)


def _blur(x: Tensor, dim: int) -> Tensor:
    """Weigh with the window along one axis, which loses `2 * RADIUS` places.

    Eleven shifted sums: on a CPU several times faster than torch's convolution of one channel.
    """
    length = x.shape[dim] - 2 * RADIUS
    blurred = x.narrow(dim, RADIUS, length) * WINDOW[RADIUS]
    for place in range(RADIUS):
        for start in (place, 2 * RADIUS - place):
            blurred.add_(x.narrow(dim, start, length), alpha=WINDOW[place])
    return blurred
