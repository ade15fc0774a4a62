"""The Frechet distance between Gaussians fitted to two sets of features, in float64.

|mean_a - mean_b|^2 + tr(S_a) + tr(S_b) - 2 tr sqrt(S_a S_b), with unbiased covariances S. With any
roots R R' = S the last trace is the sum of the singular values of R_a' R_b. No matrix square root
is taken: the eigenvalues of S_a S_b, which other implementations use, lose half of the digits
where a covariance is singular, and it is whenever there are fewer images than features.

Source: Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500, eq. 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import DataError

Matrix = NDArray[np.float64]

CHUNK = 1024  # features converted to float64 at once: 16 MB of 2048


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared Frechet distance of two sets, in squared units of the features.

    Lower is better. It is biased upwards where images are few, so only distances of the same
    numbers of images compare. Identical sets give zero up to rounding, which may be negative.

    A set with fewer images than features stays as it is, and the result is exact to rounding.
    Where both have at least as many, their covariances take the place of the features.

    Args:
        a: [N, D], a set of features.
        b: [M, D], the other.

    Raises:
        DataError: a set has fewer than two images.
    """
    for features in (a, b):
        if len(features) < 2:
            raise DataError(
                f"Frechet distance: a set of {len(features)} image(s) has no covariance; "
                "give at least 2, better 2048 or more."
            )
    if min(len(a), len(b)) >= a.shape[1]:
        return frechet_of_moments(*moments(a), *moments(b))
    (mean_a, root_a), (mean_b, root_b) = _mean_and_root(a), _mean_and_root(b)
    common = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    spread = np.square(root_a).sum() + np.square(root_b).sum()
    return float(np.square(mean_a - mean_b).sum() + spread - 2 * common)


def frechet_of_moments(mean_a: Matrix, cov_a: Matrix, mean_b: Matrix, cov_b: Matrix) -> float:
    """Return the squared Frechet distance of two Gaussians.

    The eigenvalues of R' S_b R are those of S_a S_b, but of a symmetric matrix.

    Args:
        mean_a: [D], mean of the first.
        cov_a: [D, D], covariance of the first, symmetric and positive semidefinite. Where it or
            the other is singular, the result is exact to the square root of rounding only.
        mean_b: [D], mean of the second.
        cov_b: [D, D], covariance of the second.
    """
    root = _root(cov_a)
    common = np.sqrt(np.linalg.eigvalsh(root.T @ cov_b @ root).clip(0)).sum()
    spread = np.trace(cov_a) + np.trace(cov_b)
    return float(np.square(mean_a - mean_b).sum() + spread - 2 * common)


def moments(features: Tensor) -> tuple[Matrix, Matrix]:
    """Return mean [D] and unbiased covariance [D, D] of [N, D], in two passes over chunks."""
    mean = sum(chunk.sum(0) for chunk in _chunks(features)) / len(features)
    squares = np.zeros((features.shape[1], features.shape[1]))
    for chunk in _chunks(features):
        centred = chunk - mean
        squares += centred.T @ centred
    return mean, squares / (len(features) - 1)


def _chunks(features: Tensor) -> Iterator[Matrix]:
    for first in range(0, len(features), CHUNK):
        yield _float64(features[first : first + CHUNK])


def _float64(features: Tensor) -> Matrix:
    return np.asarray(features.double().numpy())


def _mean_and_root(features: Tensor) -> tuple[Matrix, Matrix]:
    """Return mean [D] and the smaller R' [min(N, D), D] with R R' = covariance."""
    if len(features) >= features.shape[1]:
        mean, cov = moments(features)
        return mean, _root(cov).T
    x = _float64(features)
    centre = np.asarray(x.mean(0))
    return centre, (x - centre) / math.sqrt(len(x) - 1)


def _root(cov: Matrix) -> Matrix:
    """Return R [D, D] with R R' = `cov`: Cholesky's, or of eigenvectors if `cov` is singular."""
    try:
        return np.asarray(np.linalg.cholesky(cov))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cov)
        return np.asarray(vectors * np.sqrt(values.clip(0)))
