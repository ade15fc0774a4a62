"""The wavelet transform against PyWavelets."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from bench.maths.dwt import HAAR, bands, haar, inverse_haar


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db3"])
@pytest.mark.parametrize(("levels", "size"), [(1, 32), (3, 64), (3, 48)])
def test_every_band_is_pywavelets(wavelet: str, levels: int, size: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 3, size, size))
    found = bands(torch.from_numpy(images), levels, wavelet)
    low, *details = pywt.wavedec2(images, wavelet, mode="zero", level=levels)
    np.testing.assert_allclose(found[f"LL{levels}"], low, atol=1e-12)
    for level, detail in zip(range(levels, 0, -1), details, strict=True):
        for name, band in zip(("LH", "HL", "HH"), detail, strict=True):
            np.testing.assert_allclose(found[f"{name}{level}"], band, atol=1e-12)


def test_haar_keeps_the_energy() -> None:
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    energy = sum(band.square().sum() for band in bands(images, 3).values())
    torch.testing.assert_close(energy, images.square().sum())


def test_a_gradient_flows_to_every_pixel() -> None:
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    sum(band.square().sum() for band in bands(images, 3).values()).backward()
    torch.testing.assert_close(images.grad, 2 * images.detach())  # the transform is orthonormal


def test_sums_and_differences_are_one_level_of_haar() -> None:
    images = torch.randn(2, 3, 6, 10, dtype=torch.float64)
    expected, found = bands(images, 1), haar(images)
    for name, band in zip(HAAR, found, strict=True):
        torch.testing.assert_close(band, expected[f"{name}1"], atol=1e-12, rtol=0)
    torch.testing.assert_close(inverse_haar(*found), images, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        inverse_haar(*found).numpy(),
        pywt.waverec2([found[0].numpy(), tuple(x.numpy() for x in found[1:])], "haar"),
        atol=1e-12,
        rtol=0,
    )
