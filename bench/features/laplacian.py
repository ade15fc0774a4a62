"""Patches of Laplacian pyramids: what the sliced Wasserstein distance compares."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.errors import DataError
from bench.maths.seed import derive

LEAST = 16  # pixels of the coarsest level
MOST = 16384  # images of a set that are looked at
PATCHES = 128  # per image and level
SIDE = 7  # of a patch


class Laplacian(Extractor):
    """128 random patches of 7 x 7 pixels from each level of an image's Laplacian pyramid.

    One feature per level, [N, 128, 3, 49], named by the height of the level: "64", "32", "16".
    Levels are halved while both sides are even and at least 16 px remain; each is the difference
    to the next one, the last is what remains. The blur is (1, 4, 6, 4, 1) / 16 along both axes,
    mirrored at the border, as in OpenCV's pyrDown and pyrUp.

    Which patches are taken depends on the place of the image in its set and on the size of the
    level, not on the set, so that a set has no distance to itself. Only the first 16,384 images of
    a set are looked at, as in the paper; later ones give no rows.
    """

    source = "Karras et al., ICLR 2018, arXiv:1710.10196, section 5 and sliced_wasserstein.py"
    gives = ("patches of each level",)

    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return the patches of each level, finest first.

        Raises:
            DataError: a side is below 16 px.
        """
        if min(images.shape[2:]) < LEAST:
            raise DataError(
                f"swd: images of {images.shape[2]} x {images.shape[3]} px; the coarsest level "
                f"needs {LEAST} px."
            )
        images = images[: max(MOST - first, 0)].to(self.device)
        return {
            str(level.shape[2]): _patches(level, first).cpu() for level in laplacian_pyramid(images)
        }


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Return [N, C, H / 2^k, W / 2^k] for k = 0, 1, ...; the last one is low-pass."""
    levels = [images]
    while all(side % 2 == 0 and side >= 2 * LEAST for side in levels[-1].shape[2:]):
        low = _blur(levels[-1])[:, :, ::2, ::2]
        levels[-1] = levels[-1] - _upsample(low)
        levels.append(low)
    return levels


def _upsample(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros between pixels, then four times the blur."""
    spread = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    spread[:, :, ::2, ::2] = x
    return 4 * _blur(spread)


def _blur(x: Tensor) -> Tensor:
    """Filter both axes by (1, 4, 6, 4, 1) / 16; the border pixel is the mirror."""
    for axis, padding in ((2, (0, 0, 2, 2)), (3, (2, 2, 0, 0))):
        a, b, c, d, e = (
            F.pad(x, padding, mode="reflect").narrow(axis, k, x.shape[axis]) for k in range(5)
        )
        x = (a + e) * (1 / 16) + (b + d) * (4 / 16) + c * (6 / 16)
    return x


def _patches(level: Tensor, first: int) -> Tensor:
    """Cut [N, 128, 3, 49] out of [N, 3, H, W]."""
    count, _, height, width = level.shape
    corners = np.empty((count, 2, PATCHES), dtype=np.int64)
    for i in range(count):
        random = np.random.default_rng(derive("patches", first + i, height, width))
        corners[i] = random.integers([[height - SIDE + 1], [width - SIDE + 1]], size=(2, PATCHES))
    y, x = torch.from_numpy(corners).to(level.device).unbind(1)
    windows = level.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # [N, 3, H - 6, W - 6, 7, 7], a view
    return windows[torch.arange(count, device=level.device)[:, None], :, y, x].flatten(3)
