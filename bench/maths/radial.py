"""The radial log spectrum of images, through which gradients flow."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

EPSILON = 1e-10  # added to the squared magnitude
FLAT = 1e-3  # a spectrum that varies less counts as flat: that may be rounding (natural log units)


def gray(images: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, H, W]: 0.2989 R + 0.5870 G + 0.1140 B."""
    return torch.einsum("nchw,c->nhw", images, _shares(images.device, images.dtype))


def count_bins(side: int) -> int:
    """Return how many values `log_spectrum` has for images of this side: 43 at 64, 88 at 128."""
    return math.isqrt(2 * (side // 2) ** 2) - 2


def log_spectrum(images: Tensor) -> Tensor:
    """Return the azimuthal mean of the log magnitude spectrum, scaled to [0, 1] per image.

    Gray value, 2-D DFT, log sqrt(|DFT|^2 + 1e-10), mean over all frequencies whose distance from
    0 has the same integer part; of these radii the first (brightness) and the last two (corners,
    mostly noise) are dropped. Half of the plane is computed, the other half is its mirror image.
    The result does not depend on brightness, contrast or position. A flat spectrum gives zeros.

    As SSD-GAN's (Chen et al., AAAI 2021; cyq373/SSD-GAN, get_fft_feature.py), which detaches the
    image: there no gradient reaches the generator.

    Args:
        images: [N, 3, S, S], any range, S at least 6.

    Returns:
        [N, count_bins(S)] in [0, 1].
    """
    frequencies = torch.fft.rfft2(gray(images)).flatten(1)
    level = 0.5 * torch.log(frequencies.real.square() + frequencies.imag.square() + EPSILON)
    radius, share = _rings(images.shape[-1], images.device)
    count = count_bins(images.shape[-1]) + 3
    profile = level.new_zeros(len(level), count).index_add(1, radius, level * share)[:, 1:-2]
    low = profile.amin(1, keepdim=True)
    spread = profile.amax(1, keepdim=True) - low
    return (profile - low) * (spread > FLAT) / spread.clamp(min=FLAT)


@functools.cache
def _shares(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the shares of R, G, B on a device, once: a copy per step would wait for the device."""
    return torch.tensor((0.2989, 0.5870, 0.1140), device=device, dtype=dtype)


@functools.cache
def _rings(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the radius of each frequency of `rfft2`, and its share in that radius's mean."""
    y = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64)[:, None]
    x = torch.fft.rfftfreq(side, 1 / side, dtype=torch.float64)[None, :]
    radius = (y.square() + x.square()).sqrt().long().flatten()
    mirrored = (x > 0) & (x < side / 2)  # these stand for their mirror image too
    times = torch.where(mirrored, 2.0, 1.0).double().expand(side, -1).flatten()
    share = times / torch.bincount(radius, times)[radius]
    return radius.to(device), share.float().to(device)
