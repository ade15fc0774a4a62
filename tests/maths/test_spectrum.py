"""The spectrum metric against closed forms and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.errors import DataError
from bench.features.spectrum import Spectrum


def power(images: torch.Tensor) -> torch.Tensor:
    return Spectrum(torch.device("cpu"))(images, 0)["power"]


def gray(plane: torch.Tensor) -> torch.Tensor:
    """[H, W] -> [1, 3, H, W]"""
    return plane.float().expand(1, 3, *plane.shape)


def test_white_noise_is_flat_at_its_variance() -> None:
    noise = torch.randn(64, 1, 32, 48, generator=torch.manual_seed(0)).expand(-1, 3, -1, -1)
    found = power(0.5 + 0.1 * noise).mean(0)
    assert found.shape == (16,)
    assert found.numpy() == pytest.approx(0.01 * 0.9999**2, rel=0.12)  # gray weights sum to 0.9999


@pytest.mark.parametrize(("size", "cycles", "radius"), [(32, 5, 5), (32, 16, 16), (256, 5, 3)])
def test_a_sinusoid_is_one_bin(size: int, cycles: int, radius: int) -> None:
    """Amplitude a puts |a N^2 / 2|^2 at two frequencies (a N^2 at the one Nyquist frequency)."""
    wave = torch.cos(2 * torch.pi * cycles * torch.arange(size, dtype=torch.float64) / size)
    (found,) = power(gray(0.5 + 0.25 * wave.expand(size, size)))
    y, x = np.meshgrid(*[np.fft.fftfreq(size) * size] * 2)
    per_bin = size / 2 / len(found)  # cycles per image
    ring = (np.hypot(x, y) > per_bin * (radius - 1)) & (np.hypot(x, y) <= per_bin * radius)
    total = (0.25 * 0.9999 * size) ** 2 * (1 if cycles == size // 2 else 1 / 2)
    assert found[radius - 1] == pytest.approx(total / ring.sum(), rel=1e-5)
    assert found[[r for r in range(len(found)) if r != radius - 1]].max() < 1e-9


def test_brightness_has_no_part_and_two_images_no_influence_on_each_other() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.manual_seed(0))
    assert power(images + 0.3).numpy() == pytest.approx(power(images).numpy(), rel=1e-4)
    assert torch.equal(power(images)[1:], power(images[1:]))


def test_an_image_of_three_pixels_is_refused() -> None:
    with pytest.raises(DataError, match="3 x 8 px; needs 4 px"):
        power(torch.zeros(1, 3, 8, 3))
