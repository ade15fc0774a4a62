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
    gram = x @ x.mT
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solved: Tensor = torch.linalg.solve(gram, x @ y.mT)
    return solved.mT
