"""Structural similarity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import ImageMetric
from bench.errors import DataError

RADIUS, SIGMA = 5, 1.5  # of the Gaussian window, in pixels
C1, C2 = 0.01**2, 0.03**2
_BELL = [math.exp(-(x**2) / (2 * SIGMA**2)) for x in range(-RADIUS, RADIUS + 1)]
WINDOW = [w / sum(_BELL) for w in _BELL]


class SSIM(ImageMetric):
    """SSIM per channel in the form of Wang et al., mean over channels, then over images.

    Gaussian window 11 x 11 with sigma 1.5, population statistics, K 0.01 and 0.03, mean over
    windows that lie within the image, no downsampling. In the images' precision: float32 is off
    by about 1e-7 on photographs, up to 5e-6 on drawings, and up to 5e-5 where two images are
    each exactly flat over large areas, at levels far apart.
    """

    version = 2  # 1: scikit-image in float64; differences: see the precision of float32 above
    source = "Wang et al., IEEE TIP 2004, eq. 13-17"
    label = "SSIM"
    presets = ("paper", "modern", "offline")
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

    def each(self) -> dict[str, list[float]]:
        """Return the SSIM of each image."""
        return {"ssim": self.scores}


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """[C, H, W] in [0, 1] twice -> [] float64, the mean over channels and windows.

    Both factors of Wang's eq. 13 in the form 1 - (difference)^2 / (sum of squares): what two
    images share cancels before it is rounded. Variances are taken less the images' means for the
    same reason.
    """
    mean_a, mean_b = (x.mean((-1, -2), keepdim=True) for x in (a, b))
    maps = a.new_empty(4, *a.shape)
    x, y = torch.sub(a, mean_a, out=maps[0]), torch.sub(b, mean_b, out=maps[1])
    torch.mul(x, x, out=maps[2]).addcmul_(y, y)
    torch.sub(x, y, out=maps[3]).square_()
    x, y, variances, of_difference = _blur(_blur(maps, -2), -1)
    variances.addcmul_(x, x, value=-1).addcmul_(y, y, value=-1)
    of_difference.addcmul_(x - y, x - y, value=-1)
    structure = 1 - of_difference.div_(variances.add_(C2))
    x, y = x.add_(mean_a), y.add_(mean_b)
    luminance = 1 - (x - y).square_().div_((x * x).addcmul_(y, y).add_(C1))
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
