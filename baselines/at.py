"""Attention transfer: where the student's features are strong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids


class AT(Distiller):
    """Squared distance of the two attention maps of each hint, summed over hints.

    A map is the sum over channels of the squared features, as a vector over positions of length 1;
    a term is between 0 and 2 per hint. No adapters.

    Paper and code differ: equation 2 has the distance itself, the code its square averaged over
    positions (`reduction: mean`), with weight 1000 on maps of 8 to 32 px. That mean shrinks with
    the area of the map; on the larger maps of a generator it all but vanishes. The default is the
    sum over positions, and weight 10 is the code's at 10 px (1000 / 100); with it the gradient
    was 0.5 to 3.3 of the original loss's on the built-in data sets (64 px, student of width 8,
    after 150 steps). WKD does not state the layers or the weight of its comparison.
    """

    defaults = {"weight": 10.0, "reduction": "sum"}
    choices = {"reduction": ("sum", "mean")}
    strength = ("weight",)
    source = "Zagoruyko & Komodakis, ICLR 2017, eq. 2; szagoruyko/attention-transfer at 893df548"
    hints = ("down", "mid1", "mid2", "up")

    def build(self, student: Layout, teacher: Layout) -> None:
        """Check that positions correspond; there is nothing to build."""
        check_grids(self.hints, student, teacher)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `attention`, averaged over images."""
        losses = []
        for role in self.hints:
            gap = _attention(student.hints[role]) - _attention(teacher.hints[role])
            squared = gap.square()
            losses.append(
                squared.mean() if self.params["reduction"] == "mean" else squared.sum(1).mean()
            )
        return {"attention": self.params["weight"] * torch.stack(losses).sum()}


def _attention(feature: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H * W], each row of length 1."""
    return F.normalize(feature.square().mean(1).flatten(1))
