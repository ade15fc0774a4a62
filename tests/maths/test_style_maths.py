"""Whitening and colouring, the guided filter and residuals, by closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from bench.maths import zca as module
from bench.maths.guided_filter import box_mean, guided_filter
from bench.maths.high_frequency import high_frequency, pooled_residual
from bench.maths.zca import moments, zca


def maps(seed: int, *shape: int) -> torch.Tensor:
    """Return correlated maps with means, float64."""
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(shape[1], shape[1], generator=rng, dtype=torch.float64)
    x = torch.randn(*shape, generator=rng, dtype=torch.float64)
    shift = torch.randn(1, shape[1], 1, 1, generator=rng, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mix, x) + shift


def test_moments_are_numpys_whatever_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES", 7)
    x = maps(0, 2, 4, 5, 6)
    mean, covariance = moments(x)
    for n in range(2):
        rows = x[n].flatten(1).numpy()
        np.testing.assert_allclose(mean[n], rows.mean(1), rtol=1e-12)
        np.testing.assert_allclose(covariance[n], np.cov(rows, bias=True), rtol=1e-10)


def test_without_a_ridge_the_result_has_the_styles_mean_and_covariance() -> None:
    content, style = maps(1, 2, 5, 8, 9), maps(2, 2, 5, 6, 11)
    for found, wanted in zip(moments(zca(content, style, 0.0)), moments(style), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_with_a_ridge_it_is_the_papers_formula(ridge: float) -> None:
    """By scipy's matrix square root; a singular content covariance is no trouble."""
    content, style = maps(3, 1, 4, 8, 8), maps(4, 1, 4, 5, 7)
    content[:, 3] = content[:, 2]
    unit = ridge * np.eye(4)
    c, s = (x[0].flatten(1).numpy() for x in (content, style))
    roots = [scipy.linalg.sqrtm(np.cov(x, bias=True) + unit) for x in (s, c)]
    transform = roots[0] @ np.linalg.inv(roots[1])
    wanted = transform @ (c - c.mean(1, keepdims=True)) + s.mean(1, keepdims=True)
    found = zca(content, style, ridge)[0].flatten(1)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


def test_a_map_in_its_own_style_stays_as_it_is_and_batches_change_no_bit() -> None:
    x = maps(5, 3, 6, 7, 7).float()
    torch.testing.assert_close(zca(x, x, 1.0), x, rtol=1e-5, atol=1e-5)
    style = maps(6, 3, 6, 4, 4).float()
    alone = torch.cat([zca(x[i : i + 1], style[i : i + 1], 1.0) for i in range(3)])
    torch.testing.assert_close(zca(x, style, 1.0), alone, rtol=1e-6, atol=1e-6)


def test_a_constant_style_leaves_its_mean_and_nothing_that_is_no_number() -> None:
    """Only the ridge keeps it from division by nothing."""
    content, style = maps(7, 1, 3, 6, 6), torch.full((1, 3, 4, 4), 0.3, dtype=torch.float64)
    found = zca(content, style, 1e-6)
    torch.testing.assert_close(found, torch.full_like(found, 0.3), atol=1e-2, rtol=0)


def brute_mean(x: np.ndarray, r: int) -> np.ndarray:
    padded = np.pad(x, ((r, r), (r, r)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * r + 1, 2 * r + 1))
    return windows.mean((2, 3))


def brute_filter(guide: np.ndarray, image: np.ndarray, r: int, eps: float) -> np.ndarray:
    """He et al., eq. 19 to 21, window by window with a matrix solver: [3, H, W], [H, W]."""
    height, width = image.shape
    pad = ((r, r), (r, r))
    g = np.stack([np.pad(c, pad, mode="symmetric") for c in guide])
    p = np.pad(image, pad, mode="symmetric")
    slopes, offsets = np.zeros((3, height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = g[:, y : y + 2 * r + 1, x : x + 2 * r + 1].reshape(3, -1)
            values = p[y : y + 2 * r + 1, x : x + 2 * r + 1].ravel()
            centred = window - window.mean(1, keepdims=True)
            cov = centred @ centred.T / values.size + eps * np.eye(3)
            cross = centred @ values / values.size
            slopes[:, y, x] = np.linalg.solve(cov, cross)
            offsets[y, x] = values.mean() - slopes[:, y, x] @ window.mean(1)
    means = np.stack([brute_mean(s, r) for s in slopes])
    return (means * guide).sum(0) + brute_mean(offsets, r)


@pytest.mark.parametrize("radius", [1, 4])
def test_the_guided_filter_is_the_textbooks(radius: int) -> None:
    rng = np.random.default_rng(0)
    guide, image = rng.random((3, 11, 9)), rng.random((2, 11, 9))
    wanted = np.stack([brute_filter(guide, x, radius, 0.01) for x in image])
    found = guided_filter(torch.tensor(guide)[None], torch.tensor(image)[None], radius, 0.01)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_picture_guided_by_itself_stays_where_eps_is_nothing() -> None:
    x = torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guided_filter(x, x, 5, 1e-12), x, atol=1e-4, rtol=0)


def test_a_flat_guide_blurs_by_two_boxes() -> None:
    x = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = guided_filter(torch.full_like(x, 0.4)[None], x[None], 3, 1e-4)[0]
    torch.testing.assert_close(found, box_mean(box_mean(x, 3), 3))


def test_an_image_smaller_than_the_radius_is_refused() -> None:
    x = torch.zeros(1, 3, 29, 64)
    with pytest.raises(
        ValueError, match="64x29 px is smaller than the guided filter's radius of 30"
    ):
        guided_filter(x, x)


def test_residuals_of_what_is_flat_are_nothing_and_others_are_numpys() -> None:
    flat = torch.full((1, 2, 6, 8), 3.5)
    assert high_frequency(flat).abs().max() < 1e-6  # at the border too
    assert pooled_residual(flat).abs().max() == 0
    x = torch.rand(1, 1, 7, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = x[0, 0].numpy() - brute_mean(x[0, 0].numpy(), 1)
    np.testing.assert_allclose(high_frequency(x)[0, 0], wanted, atol=1e-12)


def test_what_pooling_keeps_leaves_no_residual() -> None:
    """A ramp passes pooling and bilinear doubling unchanged, away from the border; noise does not."""
    ramp = torch.arange(8.0).expand(1, 2, 6, 8)
    assert pooled_residual(ramp)[..., 1:-1].abs().max() < 1e-5
    x = torch.rand(1, 2, 6, 8, generator=torch.Generator().manual_seed(3))
    up = F.interpolate(F.avg_pool2d(x, 2), (6, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pooled_residual(x) + up, x)
