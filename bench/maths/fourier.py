"""Distances in the frequency domain, weighted by how rare a frequency is in natural images.

Source: Yang et al. (Spectral Diffusion), CVPR 2023.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-3  # of the largest magnitude: an absent frequency must not outweigh all others

STEEPEST = 6.0  # exponent whose weights float32 holds for every image of 8 bits up to 1024 px


@torch.no_grad()
def spectral_weight(
    images: Tensor,
    size: tuple[int, int],
    exponent: float,
    *,
    floor: float = FLOOR,
    of_batch: bool = False,
) -> Tensor:
    """Return |spectrum|^exponent of images at another size, per image with mean one.

    The magnitude is the mean over channels, and at least `floor` of its largest value. Below
    zero, `exponent` lets rare, that is high, frequencies count more; 0 counts all alike.

    Args:
        images: [N, C, S, S], any range.
        size: (H, W) to resize to, bilinear with antialiasing.
        exponent: of the magnitude, from -STEEPEST to STEEPEST.
        floor: share of the largest magnitude.
        of_batch: whether all are weighted by the mean magnitude over images.

    Returns:
        [N, 1, H, W // 2 + 1], or [1, ...] `of_batch`: the half that `rfft2` gives; the mean of one
        is that of the whole.
    """
    small = F.interpolate(images, size, mode="bilinear", antialias=True)
    magnitude: Tensor = torch.fft.rfft2(small, norm="ortho").abs().mean(1, keepdim=True)
    if of_batch:
        magnitude = magnitude.mean(0, keepdim=True)
    least = floor * magnitude.amax((2, 3), keepdim=True) + 1e-12  # were the image black
    magnitude = magnitude.clamp_min(least)
    weight = magnitude**exponent
    return weight / whole_mean(weight, size[1])


def weighted_power(maps: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over the whole spectrum of weight x |DFT|^2, a scalar.

    The transform is orthonormal, so that with a weight of one it is the mean square of the maps.

    Args:
        maps: [N, C, H, W], any range.
        weight: [N, 1, H, W // 2 + 1], as `spectral_weight` gives it.
    """
    spectrum = torch.fft.rfft2(maps, norm="ortho")
    power = spectrum.real.square() + spectrum.imag.square()
    return whole_mean(weight * power, maps.shape[3]).mean()


def whole_mean(half: Tensor, width: int) -> Tensor:
    """Return the mean over H x W of what is symmetric there, from half: [..., H, W // 2 + 1].

    All columns stand for two but the first and, where the width is even, the last.
    """
    once = half[..., :1].sum((-2, -1), keepdim=True)
    if width % 2 == 0:
        once = once + half[..., -1:].sum((-2, -1), keepdim=True)
    return (2 * half.sum((-2, -1), keepdim=True) - once) / (half.shape[-2] * width)
