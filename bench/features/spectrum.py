"""Power of gray images by spatial frequency: what the spectrum metric compares."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.errors import DataError
from bench.maths.radial import gray

MOST = 64  # radii
LEAST = 4  # pixels of a side


class Spectrum(Extractor):
    """The azimuthal mean of an image's power spectrum: "power", [N, R].

    Power is |DFT|^2 / (H W) of the gray image, without a window: white noise of variance v has
    power v at every frequency. R is half of the shorter side, at most 64. Radius r = 1 ... R is
    the mean over all frequencies f, in cycles per pixel, with (r - 1) < 2 R |f| <= r: the last one
    ends at Nyquist's 1/2. The mean brightness (f = 0) and the corners beyond 1/2 are left out.
    """

    source = "Durall et al., CVPR 2020, arXiv:2003.01826, section 3.1"
    gives = ("power",)

    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return the power by radius.

        Raises:
            DataError: a side is below 4 px.
        """
        height, width = images.shape[2:]
        if min(height, width) < LEAST:
            raise DataError(
                f"spectrum: images of {width} x {height} px; needs {LEAST} px or more on a side."
            )
        images = images.to(self.device, torch.float64)
        power = torch.fft.fft2(gray(images)).abs().square().flatten(1) / (height * width)
        radius = _radii(height, width).to(self.device)
        count = torch.bincount(radius)
        total = power.new_zeros(len(power), len(count)).index_add_(1, radius, power)
        return {"power": (total / count)[:, 1:].float().cpu()}


@functools.cache
def _radii(height: int, width: int) -> Tensor:
    """Return the radius of each frequency, 0 for those left out: [H W] int64."""
    count = min(MOST, height // 2, width // 2)
    y, x = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    distance = torch.hypot(y[:, None], x[None, :]).flatten()
    radius = (2 * count * distance - 1e-9).ceil().long()  # a frequency on the edge belongs inside
    return radius.where(radius <= count, 0)
