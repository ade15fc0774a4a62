"""Semantic relation preserving distillation: which positions of an image resemble each other."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids
from bench.maths.positions import check_side, positions


class SRKD(Distiller):
    """L1 distance of the two similarity matrices over positions of the encoder's feature.

    S = F F^T with one row of F per position, each row of S then divided by its length. The term
    is the mean over rows of a row's L1 distance. Both generators of CycleGAN are taught, which is
    what the paper calls two-way.

    Only the paper's abstract and summaries of it could be read. So these are choices of this
    project: the distance, the layer (`down`, after the encoder), the weight, and that maps above
    `side` x `side` positions are averaged down to that, since S has the square of their number.
    With weight 0.1 the gradient was 0.01 to 0.09 of the original loss's on the built-in data sets
    (64 px, student of width 8, after 150 steps). The paper adds a distillation of outputs: that is
    `srkd+hinton` here.
    """

    defaults = {"weight": 0.1, "side": 32}
    strength = ("weight",)
    source = "Li, Jiang & Aarabi, ECCV 2020 (abstract)"
    hints = ("down",)

    def build(self, student: Layout, teacher: Layout) -> None:
        """Check that there are positions and that they correspond; there is nothing to build."""
        check_side("srkd", self.params["side"])
        check_grids(self.hints, student, teacher)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `relation`, averaged over images."""
        gap = self._similarity(student) - self._similarity(teacher)
        return {"relation": self.params["weight"] * gap.abs().sum(2).mean()}

    def _similarity(self, trace: Trace) -> Tensor:
        """Return S of each image, [N, P, P]."""
        rows = positions(trace.hints["down"], self.params["side"])
        return F.normalize(rows @ rows.mT, dim=2)
