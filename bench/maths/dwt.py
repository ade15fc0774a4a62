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


@functools.cache
def _filters(wavelet: str, device: torch.device, dtype: torch.dtype) -> WaveletTensorTuple:
    """Return the filter bank on a device, once: a copy per step would wait for the device."""
    bank = WaveletTensorTuple.from_wavelet(pywt.Wavelet(wavelet), dtype)
    return WaveletTensorTuple(*(taps.to(device) for taps in bank))
