"""Who lies among whose neighbours: what precision, recall, density and coverage count."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.contracts.metric import Features, SetMetric
from bench.errors import DataError, SuiteError

ROWS = 1024  # of a matrix of distances that are computed at once

LINE = {"pool": torch.arange(7.0)[:, None]}  # of the worked examples
FURTHER = {"pool": LINE["pool"] + 10}
MIDDLE = {"pool": torch.full((7, 1), 3.5)}


class Counts(NamedTuple):
    """Four fractions of one pair of sets."""

    precision: float
    recall: float
    density: float
    coverage: float


class Neighbours(SetMetric):
    """One of the four fractions, on the pooled features of `features`.

    A ball around each image reaches to its `neighbours`-th nearest other image of its own set.
    """

    defaults = {"features": "inception", "neighbours": 5}
    reads = "pool"
    source = (
        "Kynkaanniemi et al., NeurIPS 2019, arXiv:1904.06991, eq. 1-3; Naeem et al., ICML 2020, "
        "arXiv:2002.09797, eq. 3-4; values of clovaai/generative-evaluation-prdc (prdc 0.2)"
    )
    digits = 3
    better = "higher"

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        if params["neighbours"] < 1:
            name = type(self).__name__.lower()
            raise SuiteError(f"{name}: neighbours: should be at least 1: {params['neighbours']}.")

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the fraction.

        Raises:
            DataError: a set has no more images than `neighbours`.
        """
        name = type(self).__name__.lower()
        k = self.params["neighbours"]
        least = min(len(outputs["pool"]), len(real["pool"]))
        if least <= k:
            raise DataError(f"{name}: the {k} nearest others of {least} images do not exist.")
        return {name: getattr(counts(outputs["pool"], real["pool"], k), name)}


@functools.lru_cache(maxsize=1)  # the four metrics ask about the same two tensors
def counts(outputs: Tensor, real: Tensor, k: int) -> Counts:
    """Return all four: features [N, D] and [M, D], balls to the k-th nearest other."""
    made, true = outputs.double(), real.double()
    around_made, around_true = _radii(made, k), _radii(true, k)
    inside = torch.zeros(len(made), dtype=torch.int64)  # in how many balls of real images
    reached = torch.zeros(len(true), dtype=torch.bool)  # whether in any ball of an output
    covered = torch.zeros(len(true), dtype=torch.bool)  # whether any output is in its ball
    squares = made.square().sum(1)
    for first in range(0, len(true), ROWS):
        rows = slice(first, first + ROWS)
        apart = _apart(true[rows], made, squares)
        within = apart < around_true[rows, None]
        inside += within.sum(0)
        covered[rows] = within.any(1)
        reached[rows] = (apart < around_made).any(1)
    return Counts(
        precision=float((inside > 0).double().mean()),
        recall=float(reached.double().mean()),
        density=float(inside.double().mean()) / k,
        coverage=float(covered.double().mean()),
    )


def _radii(x: Tensor, k: int) -> Tensor:
    """[N, D] float64 -> [N] squared distances to the k-th nearest other.

    Distances are symmetric: each block of them is computed once, and serves its rows and columns.
    """
    squares = x.square().sum(1)
    nearest = x.new_full((len(x), k + 1), torch.inf)
    starts = range(0, len(x), ROWS)
    for first in starts:
        rows = slice(first, first + ROWS)
        for start in starts[first // ROWS :]:
            columns = slice(start, start + ROWS)
            apart = _apart(x[rows], x[columns], squares[columns])
            if start == first:
                apart.fill_diagonal_(0.0)  # itself, exactly
            else:
                nearest[columns] = _least(nearest[columns], apart.T, k)
            nearest[rows] = _least(nearest[rows], apart, k)
    return nearest.amax(1)


def _least(known: Tensor, more: Tensor, k: int) -> Tensor:
    """Return the k + 1 least of each row of both."""
    return torch.cat([known, more], 1).topk(k + 1, largest=False, sorted=False).values


def _apart(a: Tensor, b: Tensor, squares: Tensor) -> Tensor:
    """Return squared distances [len(a), len(b)], at least 0; `squares` are those of b's rows."""
    found = torch.addmm(squares, a, b.T, alpha=-2)
    return found.add_(a.square().sum(1, keepdim=True)).clamp_min_(0)
