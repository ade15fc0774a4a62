"""Each image's own principal components, what they have in common, and what that keeps.

A student that is to return every image's features in that image's own components has contradictory
targets: components of two images differ, and so do their signs and their order, which are
arbitrary. Of all linear maps of the features the best that it can become is M = (sum over k of
W_k' C_k) (sum of C_k)^-1, with the covariances C_k and components W_k of images k. Where all images
share one W, the best is W' itself, and of all W the leading eigenvectors of the mean covariance
lose least. So what a student could learn of either target at most is known without training one.

Source: Chiu & Gurari (PCA-KD), CVPR 2022, section 3.1: global against image-dependent eigenbases.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.maths.least_squares import ridge_of_moments
from bench.maths.pca import eigenbasis

RIDGE = 1e-4  # of the mean variance: where the source's channels depend on each other
SEED = 0  # of the random signs


def local_bases(covariance: Tensor, count: int) -> Tensor:
    """Return each image's leading eigenvectors, [N, C, C] -> [N, C, count], of positive sums."""
    vectors: Tensor = torch.linalg.eigh(covariance).eigenvectors.flip(2)[:, :, :count]
    return vectors * torch.where(vectors.sum(1, keepdim=True) < 0, -1.0, 1.0)


class Common:
    """The linear map that is the least squares fit of all images' own projections."""

    def __init__(self) -> None:
        self.projected = self.total = torch.zeros(())

    def add(self, covariances: Tensor, bases: Tensor) -> None:
        """Take up some images, [N, C, C] and [N, C, K] float64."""
        self.projected = self.projected + (bases.mT @ covariances).sum(0)
        self.total = self.total + covariances.sum(0)

    def fit(self) -> Tensor:
        """Return M', [C, K] float64."""
        return ridge_of_moments(self.total, self.projected.mT, RIDGE)


class Kept(NamedTuple):
    """Shares of the variance of held-out images, in [0, 1]."""

    own: float  # of each in its own components: no encoder keeps more in as many channels
    shared: float  # of all in the leading components of the others
    local: float  # of what components of positive sums have in common
    random: float  # likewise, their signs drawn at random


def kept(fit: Tensor, held_out: Tensor, count: int) -> Kept:
    """Return what linear encoders of `count` channels keep, each the best for its targets.

    Args:
        fit: covariances of the images that they are fitted on, [N, C, C] float64.
        held_out: of other images, [M, C, C].
        count: of channels, at most C.
    """
    own = torch.linalg.eigvalsh(held_out)[:, -count:].sum() / held_out.diagonal(0, 1, 2).sum()
    bases = local_bases(fit, count)
    signs = torch.randint(2, bases[:, :1].shape, generator=torch.Generator().manual_seed(SEED))
    shares = [explained(eigenbasis(fit.mean(0), count), held_out.mean(0))]
    for signed in (bases, bases * (2.0 * signs - 1)):
        common = Common()
        common.add(fit, signed)
        shares.append(explained(common.fit(), held_out.mean(0)))
    return Kept(float(own), *shares)


def explained(encoder: Tensor, covariance: Tensor) -> float:
    """Return which share of a covariance the best linear decoder of an encoder's output restores.

    Not that of the space that its rows span: rows may lie in directions in which nothing varies.

    Args:
        encoder: M', [C, K], of any rank.
        covariance: [C, C] float64, S: the share is tr (S M' (M S M')^+ M S) / tr S.
    """
    seen = covariance @ encoder
    inverse = torch.linalg.pinv(encoder.mT @ seen, hermitian=True)
    return float((seen @ inverse @ seen.mT).trace() / covariance.trace())
