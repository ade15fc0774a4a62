"""A picture is smoothed along another's edges: the guided filter with a guide of three colours.

Each window of the guide is fitted to the picture by ridge regression, and every pixel is the mean
of what all windows over it say. Photorealistic style transfer takes the content as the guide, which
removes halos and texture that the content does not have.

Source: He et al., TPAMI 2013, section 3.5. The border repeats mirrored pixels, the edge one
included, which is what OpenCV's `ximgproc.guidedFilter` does (89 dB apart at 8 bits).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 30  # pixels: PCA-KD's demo
EPS = 0.02**2  # of images in [0, 1]: likewise


def guided_filter(guide: Tensor, image: Tensor, radius: int = RADIUS, eps: float = EPS) -> Tensor:
    """Return `image` filtered along the edges of `guide`.

    Args:
        guide: [N, 3, H, W] in [0, 1].
        image: [N, C, H, W] in [0, 1].
        radius: of the square window, which has 2 radius + 1 pixels a side.
        eps: variance below which the guide counts as flat, of values in [0, 1].

    Returns:
        [N, C, H, W] in the image's type; may leave [0, 1] a little.

    Raises:
        ValueError: a side is shorter than the radius.
    """
    height, width = guide.shape[-2:]
    if min(height, width) < radius:
        raise ValueError(
            f"an image of {width}x{height} px is smaller than the guided filter's radius of "
            f"{radius} px."
        )
    found = [
        _filtered(g.double(), x.double(), radius, eps) for g, x in zip(guide, image, strict=True)
    ]
    return torch.stack(found).to(image.dtype)


def _filtered(guide: Tensor, image: Tensor, radius: int, eps: float) -> Tensor:
    """Filter one picture, [3, H, W] and [C, H, W] float64 -> [C, H, W]."""
    mean, mean_image = box_mean(guide, radius), box_mean(image, radius)
    upper = [(i, j) for i in range(3) for j in range(i, 3)]
    products = torch.stack([guide[i] * guide[j] for i, j in upper])
    moments = box_mean(products, radius)
    cross = box_mean((guide[:, None] * image).flatten(0, 1), radius)
    cross = cross.view(3, *image.shape) - mean[:, None] * mean_image
    cov = guide.new_empty(3, 3, *guide.shape[1:])
    for (i, j), moment in zip(upper, moments, strict=True):
        cov[i, j] = cov[j, i] = moment - mean[i] * mean[j] + (eps if i == j else 0.0)
    slope = torch.einsum("ijhw,jchw->ichw", _inverse(cov), cross)
    offset = mean_image - (slope * mean[:, None]).sum(0)
    slope = box_mean(slope.flatten(0, 1), radius).view_as(slope)
    return (slope * guide[:, None]).sum(0) + box_mean(offset, radius)


def _inverse(m: Tensor) -> Tensor:
    """Return the inverse of a symmetric 3 x 3 matrix per pixel, by cofactors: [3, 3, H, W]."""
    rows = [torch.linalg.cross(m[(i + 1) % 3], m[(i + 2) % 3], dim=0) for i in range(3)]
    determinant = (m[0] * rows[0]).sum(0)
    inverse: Tensor = torch.stack(rows) / determinant
    return inverse


def box_mean(x: Tensor, radius: int) -> Tensor:
    """Return the mean over the window around each pixel: [C, H, W] float64 -> the same.

    Beyond the border the picture is mirrored, the edge pixel included.
    """
    for dim in (1, 2):
        size = x.shape[dim]
        before, after = x.narrow(dim, 0, radius).flip(dim), x.narrow(dim, size - radius, radius)
        sums = torch.cat([before, x, after.flip(dim)], dim).cumsum(dim)
        sums = F.pad(sums, (1, 0, 0, 0) if dim == 2 else (0, 0, 1, 0))
        span = 2 * radius + 1
        x = (sums.narrow(dim, span, size) - sums.narrow(dim, 0, size)) / span
    return x
