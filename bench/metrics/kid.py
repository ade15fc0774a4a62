"""Kernel Inception distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.metric import Features, SetMetric
from bench.errors import DataError, SuiteError
from bench.maths.bootstrap import Draws, Values
from bench.maths.seed import derive

Matrix = NDArray[np.float64]

ROWS = 1024  # of a kernel matrix that are computed at once
MOST = 10_000  # images of a set up to which its sampling error is computed: 1e8 pairs


class KID(SetMetric):
    """Unbiased squared MMD between Inception features, mean over random subsets.

    Kernel (x.y / D + 1)^3, in float64. Each subset has `subset_size` images of each set, drawn
    without replacement; where a set is smaller than that, as many as the smaller set has. So two
    equal sets of at most `subset_size` images have one subset only, and `kid_std` is zero: the
    population standard deviation over subsets, no error bar of the mean.

    Unbiased at any number of images, thus below zero where the sets are much alike. `features` as
    in FID.
    """

    defaults = {"subset_size": 1000, "subsets": 100, "features": "inception"}
    reads = "pool"
    source = "Binkowski et al., ICLR 2018, arXiv:1801.01401, eq. 4; subsets of torch-fidelity"
    label = "KID"
    presets = ("modern",)
    digits = 4
    better = "lower"
    headline = "kid"
    checks = {
        "kernel 0 among the outputs, 1 among the real, 1 across": (
            {"pool": torch.tensor([[1.0], [-1.0]])},
            {"pool": torch.tensor([[0.0], [0.0]])},
            {"kid": 0 + 1 - 2, "kid_std": 0.0},
        ),
        "the same set twice: below zero": (
            {"pool": torch.tensor([[1.0, 1.0], [-1.0, -1.0]])},
            {"pool": torch.tensor([[1.0, 1.0], [-1.0, -1.0]])},
            {"kid": 0 + 0 - 2 * (8 + 0 + 0 + 8) / 4, "kid_std": 0.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        for name in ("subsets", "subset_size"):
            if params[name] < 1:
                raise SuiteError(f"kid: {name}: should be at least 1: {params[name]}.")

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return mean and standard deviation over the subsets.

        Raises:
            DataError: there are fewer than two images to a subset.
        """
        x, y = (f["pool"].double().numpy() for f in (outputs, real))
        size = min(self.params["subset_size"], len(x), len(y))
        if size < 2:
            raise DataError(
                f"kid: subsets of {size} image(s) from sets of {len(x)} and {len(y)}; the unbiased "
                "estimate needs at least 2."
            )
        count = self.params["subsets"]
        random = np.random.default_rng(derive("kid subsets"))
        of_x, of_y = (_subsets(len(z), size, count, random) for z in (x, y))
        # one pass over all pairs of images, or one per subset: whichever has fewer pairs
        together = count if len(x) * len(y) <= count * size**2 else 1
        estimates = []
        for subset in range(0, count, together):
            some = slice(subset, subset + together)
            estimates.append(squared_mmd(*_used(x, of_x[:, some]), *_used(y, of_y[:, some])))
        found = np.concatenate(estimates)
        return {"kid": float(found.mean()), "kid_std": float(found.std())}

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Values]:
        """Return the estimate of each resample as one subset; none beyond 10,000 images.

        An image that a resample holds twice makes no pair with itself, as in the estimate.
        """
        x, y = (f["pool"].double().numpy() for f in (outputs, real))
        if max(len(x), len(y)) > MOST:
            return {}
        of_x, of_y = (counts.T.astype(np.float64) for counts in draws)
        within = np.zeros(of_x.shape[1])
        for z, of_z in ((x, of_x), (y, of_y)):
            squares = np.square(of_z)
            same = _kernel(np.square(z).sum(1), z.shape[1]) @ squares
            pairs = len(z) ** 2 - squares.sum(0)  # none where a resample holds but one image
            within += (_sums(z, of_z, z, of_z) - same) / np.where(pairs > 0, pairs, np.nan)
        return {"kid": within - 2 * _sums(x, of_x, y, of_y) / (len(x) * len(y))}


def squared_mmd(x: Matrix, of_x: Matrix, y: Matrix, of_y: Matrix) -> Matrix:
    """Return the unbiased estimate of each pair of subsets, [S].

    Args:
        x: [N, D], features of a set.
        of_x: [N, S], one where an image is in a subset, zero elsewhere; all of the same size.
        y: [M, D], features of the other set.
        of_y: [M, S], its subsets, of that same size.
    """
    size = of_x[:, 0].sum()
    within = _sums(x, of_x, x, of_x) - _kernel(np.square(x).sum(1), x.shape[1]) @ of_x
    within += _sums(y, of_y, y, of_y) - _kernel(np.square(y).sum(1), y.shape[1]) @ of_y
    return np.asarray(within / (size * (size - 1)) - 2 * _sums(x, of_x, y, of_y) / size**2)


def _sums(x: Matrix, of_x: Matrix, y: Matrix, of_y: Matrix) -> Matrix:
    """Return the sum of the kernel over all pairs of each pair of subsets, [S]."""
    sums = np.zeros(of_x.shape[1])
    for first in range(0, len(x), ROWS):
        rows = slice(first, first + ROWS)
        sums += (of_x[rows] * (_kernel(x[rows] @ y.T, x.shape[1]) @ of_y)).sum(0)
    return sums


def _kernel(products: Matrix, dimensions: int) -> Matrix:
    base = products / dimensions + 1
    return np.asarray(base * base * base)


def _subsets(images: int, size: int, count: int, random: np.random.Generator) -> Matrix:
    """Draw `count` subsets, as columns of zeros and ones [images, count]."""
    drawn = np.zeros((images, count))
    for subset in range(count):
        drawn[random.choice(images, size, replace=False), subset] = 1
    return drawn


def _used(x: Matrix, of_x: Matrix) -> tuple[Matrix, Matrix]:
    """Leave out the images that are in no subset."""
    used = of_x.any(1)
    return x[used], of_x[used]
