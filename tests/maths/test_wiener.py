"""Wiener filters against closed forms, values computed elsewhere, and a regression.

The values were computed in float64 from the equations by other code; those of latent diffusion's
times are of its schedule, linear in the square roots of betas from 0.0015 to 0.0195.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.maths.diffusion import alpha_bars
from bench.maths.wiener import half_passed, wiener

BARS = (0.01, 0.1, 0.5, 0.9, 0.99)


@pytest.mark.parametrize("bar", BARS)
def test_filters_are_the_closed_forms(bar: float) -> None:
    frequency = np.linspace(0.01, 20, 400)
    image, noise = wiener(frequency, bar)
    assert (np.diff(image) < 0).all()
    np.testing.assert_allclose(bar**0.5 * image + (1 - bar) ** 0.5 * noise, 1, rtol=1e-12)
    lowest, _ = wiener(np.array([1e-9]), bar)
    assert lowest[0] == pytest.approx(bar**-0.5)
    one, _ = wiener(np.array([1.0]), bar)
    assert one[0] == pytest.approx(bar**0.5, rel=1e-12)
    half, _ = wiener(np.array([half_passed(bar)]), bar)
    assert bar**0.5 * half[0] == pytest.approx(0.5, rel=1e-12)


def test_less_noise_leaves_more_frequencies_to_be_found() -> None:
    found = [half_passed(bar) for bar in BARS]
    assert found == pytest.approx([0.1005038, 1 / 3, 1, 3, 9.9498744])
    of_ldm = alpha_bars("scaled linear", 0.0015, 0.0195, 1000)[[0, 100, 300, 500, 700, 999]]
    found = [half_passed(bar) for bar in of_ldm.tolist()]
    assert found == pytest.approx([25.8, 2.157, 0.829, 0.360, 0.126, 0.0119], rel=5e-3)


@pytest.mark.parametrize(
    ("frequency", "bar", "expected"), [(0.1, 0.5, 1.40021145), (3.0, 0.9, 0.52704628)]
)
def test_values_are_the_reference(frequency: float, bar: float, expected: float) -> None:
    image, _ = wiener(np.array([frequency]), bar)
    assert image[0] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("bar", [0.01, 0.5, 0.99])
def test_filters_are_what_least_squares_finds(bar: float) -> None:
    """Signals of power 1 / f^2 per bin, noise of power 1; a regression over many draws per bin."""
    rng = np.random.default_rng(0)
    frequency = np.arange(1.0, 9.0)
    clean = rng.standard_normal((40_000, 8)) / frequency
    seen = bar**0.5 * clean + (1 - bar) ** 0.5 * rng.standard_normal(clean.shape)
    fitted = (seen * clean).sum(0) / (seen * seen).sum(0)
    expected, _ = wiener(frequency, bar)
    np.testing.assert_allclose(fitted, expected, atol=0.01)
