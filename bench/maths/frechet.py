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
from bench.maths.bootstrap import Counts, Draws

Matrix = NDArray[np.float64]

CHUNK = 1024  # features converted to float64 at once: 16 MB of 2048
EXACT = 1024  # images of the larger set up to which resamples have their own singular values
RANK = 1e-12  # of a covariance's largest eigenvalue: what is below is rounding


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


def resampled_distances(a: Tensor, b: Tensor, draws: Draws) -> Matrix:
    """Return the squared Frechet distance of each pair of resamples, [R].

    Up to 1,024 images it is that of the repeated features, to rounding: a resample weighs images,
    and all that weights need are inner products of images, computed once. With weights p and q that
    add up to one, as diagonal matrices P and Q, and centring C_p = I - 1 p', the trace of the root
    is the sum of the singular values of sqrt(P) C_p A B' C_q' sqrt(Q), whose rows of zeros (images
    that the resample lacks, more than a third) are left out.

    Beyond, it is linear in the weights about the whole sets, see `influences`: the first term of
    an expansion in 1 / sqrt(N).

    Args:
        a: [N, D], features of a set of at least two images.
        b: [M, D], of the other.
        draws: how often each resample holds each image.
    """
    if max(len(a), len(b)) > EXACT:
        of_a, of_b = influences(a, b)
        moved = draws.outputs / len(a) @ of_a + draws.real / len(b) @ of_b
        return np.asarray(frechet_distance(a, b) + moved)
    x, y = _float64(a), _float64(b)
    centre = y.mean(0)  # any: distances do not change, and less is lost where sums cancel
    x, y = x - centre, y - centre
    across = x @ y.T
    apart = -2 * (draws.outputs / len(x) @ across * (draws.real / len(y))).sum(1)
    spread = np.zeros(len(apart))
    for z, counts in ((x, draws.outputs), (y, draws.real)):
        weights = counts / len(z)
        of_mean = np.square(weights @ z).sum(1)
        apart += of_mean
        spread += (weights @ np.square(z).sum(1) - of_mean) * len(z) / (len(z) - 1)
    common = [_common(across, *rows) for rows in zip(draws.outputs, draws.real, strict=True)]
    return np.asarray(apart + spread - 2 * np.array(common))


def _common(across: Matrix, of_a: Counts, of_b: Counts) -> float:
    """Return tr sqrt(S_a S_b) of one resample from inner products [N, M] and counts [N], [M]."""
    rows, columns = of_a.nonzero()[0], of_b.nonzero()[0]
    p, q = of_a[rows] / len(of_a), of_b[columns] / len(of_b)
    held = across[np.ix_(rows, columns)]
    held -= p @ held
    held -= (held @ q)[:, None]
    held *= np.sqrt(p / (1 - 1 / len(of_a)))[:, None]
    held *= np.sqrt(q / (1 - 1 / len(of_b)))
    return float(np.linalg.svd(held, compute_uv=False).sum())


def influences(a: Tensor, b: Tensor) -> tuple[Matrix, Matrix]:
    """Return by how much the distance changes per weight of each image: [N] and [M], of mean zero.

    With S_a and S_b of full rank the derivative of tr sqrt(S_a S_b) by S_a is T / 2, where T is the
    optimal transport map from one Gaussian to the other. With roots R' as above and singular values
    R_a' R_b = U S V', x' T x is (n - 1) |sqrt(S) U' r|^2, with r such that x = R r sqrt(n - 1), and
    this holds for singular covariances too.
    """
    (mean_a, root_a, unroot_a), (mean_b, root_b, unroot_b) = _roots(a), _roots(b)
    u, values, v = np.linalg.svd(root_a @ root_b.T, full_matrices=False)
    found = []
    sides = (
        (a, mean_a, root_a, unroot_a, u, mean_a - mean_b),
        (b, mean_b, root_b, unroot_b, v.T, mean_b - mean_a),
    )
    for features, mean, root, unroot, vectors, apart in sides:
        n, trace = len(features), np.square(root).sum()
        onto = vectors * np.sqrt(values)
        parts = []
        for first, chunk in zip(range(0, n, CHUNK), _chunks(features), strict=True):
            x = chunk - mean
            if unroot is None:  # each row of the root is an image
                scaled = onto[first : first + CHUNK]
            else:
                scaled = x @ (unroot @ onto) / math.sqrt(n - 1)
            spread = n * (np.square(x).sum(1) / (n - 1) - np.square(scaled).sum(1))
            parts.append(2 * x @ apart + spread - (trace - values.sum()))
        found.append(np.concatenate(parts))
    return found[0], found[1]


def _roots(features: Tensor) -> tuple[Matrix, Matrix, Matrix | None]:
    """Return mean, R' and its pseudoinverse; none where R' has a row per image."""
    if len(features) < features.shape[1]:
        return *_mean_and_root(features), None
    mean, cov = moments(features)
    values, vectors = np.linalg.eigh(cov)
    is_there = values > RANK * values[-1]
    root = np.sqrt(values[is_there])
    vectors = vectors[:, is_there]
    return mean, (vectors * root).T, vectors / root


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
