"""Collaborative distillation: the student's levels through a trained 1x1 convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Layout, Side
from bench.losses.blocks import BlockDistiller


class CKD(BlockDistiller):
    """Mean squared distance of a linear embedding of the student's level to the source's.

    The original trains four encoders, each against all levels below its own, and decoders after
    them; here one encoder-decoder is trained a pair of blocks at a time, as PCA-KD trains its
    "Ours-VGG-CKD". Weights are the original's: 10 for the features, 1 for the perceptual term. With
    `weight: 1.0` it is plain feature distillation through an adapter.

    `start: closed_form`, which is ours, starts student and embedding where PCA-KD's would: at the
    leading eigenvectors of the source's covariance. The embedding is free to leave them.
    """

    defaults = {
        "weight": 10.0,
        "perceptual_weight": 1.0,
        "start": "random",
        "basis": "exact",
    }
    choices = {"start": ("random", "closed_form"), "basis": ("exact",)}
    strength = ("weight", "perceptual_weight")
    source = "Wang et al., CVPR 2020, eq. 4-6; MingSun-Tse/Collaborative-Distillation at 4a269dc9"

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create an embedding per level, with bias.

        Raises:
            SuiteError: a level of the student has more channels than the source's.
        """
        super().build(student, teacher)
        self.embeddings = nn.ModuleDict(
            {r: nn.Conv2d(student.hints[r][0], teacher.hints[r][0], 1) for r in self.hints}
        )

    def settle(self, role: str, student: Side, teacher: Side, images: Tensor) -> None:
        """Start a level's embedding at the basis, with the means that this leaves."""
        mine, theirs = (
            side.generator(images, hints=(role,))[1][role].mean((0, 2, 3))
            for side in (student, teacher)
        )
        layer, basis = self.embeddings[role], self.basis(role)
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        layer.weight.copy_(basis[:, :, None, None])
        layer.bias.copy_(theirs - basis @ mine)

    def feature_distance(self, role: str, mine: Tensor, theirs: Tensor) -> Tensor:
        """Return the mean squared distance of what is embedded."""
        return F.mse_loss(self.embeddings[role](mine), theirs)
