"""The two-dimensional discrete wavelet transform, its bands by name.

`ptwt` computes it (differentiably, on any device); its values are those of PyWavelets.
"""

from __future__ import annotations

import functools

import ptwt
import pywt
import torch
from ptwt.constants import WaveletTensorTuple
from torch import Tensor


def bands(images: Tensor, levels: int, wavelet: str = "haar") -> dict[str, Tensor]:
    """Decompose images into LL of the last level and LH, HL, HH of each, coarsest first.

    The first letter is the filter along the width, the second along the height, L low and H high
    pass: LH, HL and HH are what PyWavelets calls cH, cV and cD. The transform is orthonormal;
    sides are extended by zeros where the wavelet is longer than Haar's.

    Args:
        images: [N, C, H, W], any range.
        levels: how often the image is halved.
        wavelet: a name that PyWavelets knows, e.g. "haar" or "db3".

    Returns:
        `{"LL3": ..., "LH3": ..., "HL3": ..., "HH3": ..., "LH2": ..., ...}`, each
        [N, C, H / 2^level, W / 2^level] (rounded up, and larger for longer wavelets).
    """
    filters = _filters(wavelet, images.device, images.dtype)
    low, *details = ptwt.wavedec2(images, filters, mode="zero", level=levels)
    found = {f"LL{levels}": low}
    for level, detail in zip(range(levels, 0, -1), details, strict=True):
        found |= {f"{name}{level}": d for name, d in zip(("LH", "HL", "HH"), detail, strict=True)}
    return found


HAAR = ("LL", "LH", "HL", "HH")


def haar(x: Tensor) -> tuple[Tensor, ...]:
    """[N, C, 2h, 2w] -> its bands in the order of `HAAR`, [N, C, h, w] each: `bands` of one level.

    By sums and differences alone, which networks can afford at every call.
    """
    a, b, c, d = (x[..., row::2, column::2] for row in (0, 1) for column in (0, 1))
    top, bottom, left, right = a + b, c + d, a - b, c - d
    return tuple(y / 2 for y in (top + bottom, top - bottom, left + right, left - right))


def inverse_haar(ll: Tensor, lh: Tensor, hl: Tensor, hh: Tensor) -> Tensor:
    """Return the one image of which these are the bands: [N, C, h, w] each -> [N, C, 2h, 2w]."""
    top, bottom, left, right = ll + lh, ll - lh, hl + hh, hl - hh
    rows = [torch.stack([x + y, x - y], -1).flatten(-2) for x, y in ((top, left), (bottom, right))]
    return torch.stack(rows, -2).flatten(-3, -2) / 2


@functools.cache
def _filters(wavelet: str, device: torch.device, dtype: torch.dtype) -> WaveletTensorTuple:
    """Return the filter bank on a device, once: a copy per step would wait for the device."""
    bank = WaveletTensorTuple.from_wavelet(pywt.Wavelet(wavelet), dtype)
    return WaveletTensorTuple(*(taps.to(device) for taps in bank))
