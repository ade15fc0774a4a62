"""PCA distillation of style transfer: the student's levels, seen in the source's components."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Layout
from bench.losses.blocks import BlockDistiller
from bench.maths.least_squares import ridge_of_moments
from bench.maths.pca import Covariance, centred, covariances

RIDGE = 1e-4  # of the mean variance: where the source's channels depend on each other


class PCAKDStyle(BlockDistiller):
    """PCA-KD's own method, level by level: mean (W f_s - f_t)^2 of features centred over space.

    `bases: global` are one W per level, the leading eigenvectors of the covariance over all
    training images; `bases: image` are each image's own, the paper's "Local", with signs such that
    the entries of a vector have a positive sum. `space: source` compares in the source's channels
    as eq. 6 does; `basis` compares f_s with W' f_t, in the student's: the same minimum where W is
    orthonormal, and smaller by the ratio of the numbers of channels and what the basis loses.

    `start: random` is the paper's. `closed_form` is ours, see `bench/losses/closed_form.py`; with
    `weight` and `perceptual_weight` 0 it is the control that has the start and nothing else.
    """

    defaults = {
        "weight": 1.0,
        "perceptual_weight": 1.0,
        "bases": "global",
        "space": "source",
        "start": "random",
        "basis": "exact",
        "epochs": 5,
        "lr": 1e-4,
    }
    choices = {
        "bases": ("global", "image"),
        "space": ("source", "basis"),
        "start": ("random", "closed_form"),
        "basis": ("exact", "gradient"),
    }
    strength = ("weight", "perceptual_weight")
    source = "Chiu & Gurari, CVPR 2022, eq. 4-7; chiutaiyin/PCA-Knowledge-Distillation at 2651cd16"

    def build(self, student: Layout, teacher: Layout) -> None:
        """Make room for the bases, and for what local ones have in common.

        Raises:
            SuiteError: a level of the student has more channels than the source's.
        """
        super().build(student, teacher)
        self.common = {role: _Common() for role in self.hints if self.params["bases"] == "image"}
        for role in self.common:
            self.register_buffer(f"common_{role}", torch.zeros_like(self.basis(role)))

    def derive(self, role: str, seen: Covariance, batches: int) -> None:
        """Find the basis of one hint, and what local ones have in common."""
        super().derive(role, seen, batches)
        if role in self.common:
            self.get_buffer(f"common_{role}").copy_(self.common[role].fit())

    def observe(self, role: str, maps: Tensor) -> None:
        """Add up what local bases of these images have in common, [N, C, H, W]."""
        if role in self.common:
            self.common[role].add(maps, self.basis(role).shape[1])

    def start_basis(self, role: str) -> Tensor:
        """Return the basis that a closed-form start aims at; of local ones their common fit."""
        is_local = role in self.common
        return self.get_buffer(f"common_{role}") if is_local else super().start_basis(role)

    def feature_distance(self, role: str, mine: Tensor, theirs: Tensor) -> Tensor:
        """Return the mean squared distance through the bases."""
        count = mine.shape[1]
        if self.params["bases"] == "image":
            bases = local_bases(covariances(theirs), count).to(theirs.dtype)
        else:
            bases = self.basis(role).expand(len(theirs), -1, -1)
        mine, theirs = centred(mine).flatten(2), centred(theirs).flatten(2)
        if self.params["space"] == "source":
            return F.mse_loss(bases @ mine, theirs)
        return F.mse_loss(mine, bases.mT @ theirs)


class _Common:
    """The linear map that is the least squares fit of all images' own projections.

    M = (sum over k of W_k' C_k) (sum of C_k)^-1, of the covariances C_k and bases W_k of images k.
    """

    def __init__(self) -> None:
        self.projected = self.total = torch.zeros(())

    def add(self, maps: Tensor, count: int) -> None:
        """Take up the maps of some images."""
        each = covariances(maps)
        bases = local_bases(each, count)
        self.projected = self.projected + (bases.mT @ each).sum(0)
        self.total = self.total + each.sum(0)

    def fit(self) -> Tensor:
        """Return M', [C_t, C_s] float64."""
        return ridge_of_moments(self.total, self.projected.mT, RIDGE)


def local_bases(covariance: Tensor, count: int) -> Tensor:
    """Return each image's leading eigenvectors, [N, C, C] -> [N, C, count], of positive sums."""
    vectors: Tensor = torch.linalg.eigh(covariance).eigenvectors.flip(2)[:, :, :count]
    return vectors * torch.where(vectors.sum(1, keepdim=True) < 0, -1.0, 1.0)
