"""Ridge regression from its normal equations, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def ridge_regression(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """Return W that minimises |W x - y|^2 + ridge * (mean diagonal of x x') * |W|^2.

    Args:
        x: [D, M], any type.
        y: [K, M].
        ridge: relative to the mean square of the rows of x, at least 0.

    Returns:
        [K, D] float64.
    """
    x, y = x.double(), y.double()
    return ridge_of_moments(x @ x.mT, x @ y.mT, ridge).mT


def ridge_of_moments(gram: Tensor, cross: Tensor, ridge: float) -> Tensor:
    """Return W' of the same regression, [D, K], from x x' [D, D] and x y' [D, K]."""
    gram = gram.clone()
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solved: Tensor = torch.linalg.solve(gram, cross)
    return solved
