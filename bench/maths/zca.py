"""Feature maps take on another's mean and covariance: whitening and colouring.

A map's channels are whitened by the content's covariance and coloured by the style's, both by
symmetric roots (ZCA), so that channels stay where they are as far as they can. Covariances are
divided by H x W and `ridge` times the unit matrix is added to both: how strong a transfer is
therefore depends on the scale of the features. Roots come from eigenvalues in float64.

Source: Chiu & Gurari (PCA-KD), CVPR 2022, section 3.3, and its code at 658d4a24, which adds 1.0 I.
"""

from __future__ import annotations

import torch
from torch import Tensor

PLACES = 2**16  # positions whose covariance is summed at once: bounds the memory of large maps


def zca(content: Tensor, style: Tensor, ridge: float | Tensor = 1.0) -> Tensor:
    """Return T (content - its mean) + mean of the style, T = S_s^(1/2) S_c^(-1/2).

    The result's covariance is T C_c T' where C_c is the content's own; with a ridge of 0 that is
    the style's covariance exactly.

    Args:
        content: [N, C, H, W], any range.
        style: [N, C, h, w]; may differ in size.
        ridge: what is added to the diagonal of both covariances, at least 0; 0 needs covariances
            that are positive definite.

    Returns:
        [N, C, H, W] of the content's type.
    """
    (mean_c, cov_c), (mean_s, cov_s) = moments(content), moments(style)
    transform = colouring(cov_s, ridge) @ whitening(cov_c, ridge)
    shift = mean_s - (transform @ mean_c[:, :, None]).squeeze(2)
    rows = transform.to(content.dtype) @ content.flatten(2)
    return (rows + shift.to(content.dtype)[:, :, None]).view_as(content)


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance over space: [N, C, H, W] -> [N, C], [N, C, C] float64.

    Positions are taken a slice at a time, so that a map of any size needs little more memory than
    it has itself.
    """
    rows = maps.flatten(2)
    mean = torch.mean(rows, 2, dtype=torch.float64)
    total = mean.new_zeros(*mean.shape, mean.shape[1])
    for first in range(0, rows.shape[2], PLACES):
        x = rows[:, :, first : first + PLACES].double() - mean[:, :, None]
        total = torch.baddbmm(total, x, x.mT)
    return mean, total / rows.shape[2]


def whitening(covariance: Tensor, ridge: float | Tensor = 0.0) -> Tensor:
    """Return the symmetric (C + ridge I)^(-1/2): [N, C, C] float64 -> the same."""
    return _power(covariance, ridge, -0.5)


def colouring(covariance: Tensor, ridge: float | Tensor = 0.0) -> Tensor:
    """Return the symmetric (C + ridge I)^(1/2): [N, C, C] float64 -> the same."""
    return _power(covariance, ridge, 0.5)


def _power(covariance: Tensor, ridge: float | Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    values = (values.clamp_min(0) + ridge).pow(exponent)  # rounding may leave them below 0
    powers: Tensor = (vectors * values[:, None, :]) @ vectors.mT
    return powers
