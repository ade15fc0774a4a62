"""Ridge regression from its normal equations, in float64; also with weights of rank one."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 4  # of alternating least squares: more change little


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
    """Return W' of the same regression, [D, K], from x x' [D, D] and x y' [D, K]; 0 if x is 0."""
    if not gram.any():
        return torch.zeros_like(cross)
    gram = gram.clone()
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solved: Tensor = torch.linalg.solve(gram, cross)
    return solved


def rank_one_regression(x: Tensor, y: Tensor, channels: int, ridge: float) -> Tensor:
    """Return p of the ridge regression onto y whose weights are p q' for each row of y.

    Alternating least squares, each row by itself, from the strongest direction of the regression
    without a bound; a minimum, not always the least.

    Args:
        x: [C T, M], T rows for each of C channels.
        y: [K, M].
        channels: C.
        ridge: as in `ridge_regression`.

    Returns:
        [K, C] float64, of a scale that goes with |q| = 1; 0 for a row of y that is 0.
    """
    x, y = x.double(), y.double()
    gram, cross = x @ x.mT, x @ y.mT
    free = ridge_of_moments(gram, cross, ridge).mT.view(len(y), channels, -1)
    amount = ridge * gram.diagonal().mean()
    gram = gram.view(channels, -1, channels, free.shape[2])
    found = []
    for start, aim in zip(free, cross.mT.view_as(free), strict=True):
        if not aim.any():
            found.append(torch.zeros_like(aim[:, 0]))
            continue
        q = torch.linalg.svd(start).Vh[0]
        for _ in range(ROUNDS):
            p = _ridged(torch.einsum("atbs,t,s->ab", gram, q, q), aim @ q, amount)
            p = p / p.norm()
            q = _ridged(torch.einsum("atbs,a,b->ts", gram, p, p), p @ aim, amount)
            q = q / q.norm()
        found.append(_ridged(torch.einsum("atbs,t,s->ab", gram, q, q), aim @ q, amount))
    return torch.stack(found)


def _ridged(gram: Tensor, cross: Tensor, amount: Tensor) -> Tensor:
    """Solve (gram + amount I) w = cross."""
    gram = gram.clone()
    gram.diagonal().add_(amount)
    solved: Tensor = torch.linalg.solve(gram, cross)
    return solved
