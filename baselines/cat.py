"""Kernel alignment, the distillation of CAT ("Teachers do more than teach")."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.contracts.distiller import Distiller, Layout, Side, Trace, check_grids
from bench.errors import SuiteError
from bench.maths.positions import check_side, positions


class CAT(Distiller):
    """Minus the alignment of the two features' kernels, summed over hints; -4 is perfect.

    KA(X, Y) = <XX^T, YY^T> / (|XX^T| |YY^T|), X a feature as rows, not centred. Widths may differ,
    so there are no adapters.

    In the paper and its code a row is an image of the batch (`rows: batch`). At the batch size 1
    of CycleGAN that is 1 whatever the features are, without gradient, and is refused. The default,
    `rows: positions`, is a choice of this project: a row is a position of one image, and KA is
    averaged over images; maps above `side` x `side` are averaged down to that. The weight is the
    code's on horse2zebra (0.5 on Cityscapes, 1.3 on maps). Only the distillation of CAT is here,
    not its pruning and its own blocks.
    """

    defaults = {"weight": 1.0, "rows": "positions", "side": 32}
    choices = {"rows": ("positions", "batch")}
    strength = ("weight",)
    source = "Jin et al., CVPR 2021; snap-research/CAT at 1dbd048c, utils/common.py"
    hints = ("down", "mid1", "mid2", "up")

    def build(self, student: Layout, teacher: Layout) -> None:
        """Check that there are positions and that they correspond; there is nothing to build."""
        check_side("cat", self.params["side"])
        if self.params["rows"] == "positions":
            check_grids(self.hints, student, teacher)

    def check(self, student: Side, teacher: Side, batch: int) -> None:
        """Refuse one image per step where a row is an image."""
        if self.params["rows"] == "batch" and batch == 1:
            raise SuiteError(
                "cat: with `rows: batch` the alignment of one image is always 1, without a "
                "gradient; set a larger budget.batch, or `rows: positions`."
            )

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `alignment`: minus KA, summed over hints."""
        alignments = [
            kernel_alignment(self._rows(student.hints[role]), self._rows(teacher.hints[role]))
            for role in self.hints
        ]
        return {"alignment": -self.params["weight"] * torch.stack(alignments).sum()}

    def _rows(self, feature: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, positions, C], or [1, N, C * H * W]."""
        if self.params["rows"] == "batch":
            return feature.flatten(1)[None]
        return positions(feature, self.params["side"])


def kernel_alignment(x: Tensor, y: Tensor) -> Tensor:
    """Return <XX^T, YY^T> / (|XX^T| |YY^T|), the mean over the batch: [], 0 to 1.

    Where there are more rows than columns the same number is computed without the matrices over
    rows: |X^T Y|^2 / (|X^T X| |Y^T Y|).

    Args:
        x: [B, rows, columns].
        y: [B, rows, other columns].
    """
    if x.shape[1] > max(x.shape[2], y.shape[2]):
        common = (x.mT @ y).square().sum((1, 2))
        x, y = x.mT @ x, y.mT @ y
    else:
        x, y = x @ x.mT, y @ y.mT
        common = (x * y).sum((1, 2))
    sizes = torch.linalg.matrix_norm(x) * torch.linalg.matrix_norm(y)
    found: Tensor = common / sizes.clamp_min(torch.finfo(sizes.dtype).tiny)
    return found.mean()
