"""Variational information distillation: how much the student's features say of the teacher's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids
from bench.errors import SuiteError


class VID(Distiller):
    """Negative log likelihood of the teacher's features under a Gaussian that the student predicts.

    Per hint, the mean is three 1x1 convolutions without bias of the student's feature, with ReLU
    between; the variance is one number per channel, softplus plus 1e-5, and starts at 5. All of
    them train with the student. The constant ln(2 pi) / 2 is left out, as in the paper's
    equation 5, and the loss is averaged over features; it falls below zero where the variance
    does below 1.

    Weight 1 is that of the ported code; no source states one for image translation.
    """

    defaults = {"weight": 1.0, "variance": 5.0}
    strength = ("weight",)
    source = "Ahn et al., CVPR 2019, eq. 4-6; HobbitLong/RepDistiller, distiller_zoo/VID.py"
    hints = ("down", "mid1", "mid2", "up")
    least, most = 1e-5, 700.0  # of a variance: beyond, its exponential is infinite

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create the Gaussians; they train with the student.

        Raises:
            SuiteError: `variance` cannot be a start, or hints differ in height or width.
        """
        if not self.least < self.params["variance"] <= self.most:
            raise SuiteError(
                f"vid: variance: should be above {self.least} and at most {self.most}: "
                f"{self.params['variance']}."
            )
        check_grids(self.hints, student, teacher)
        start = math.log(math.expm1(self.params["variance"] - self.least))
        self.means, self.raw_variances = nn.ModuleDict(), nn.ParameterDict()
        for role in self.hints:
            before, after = student.hints[role][0], teacher.hints[role][0]
            self.means[role] = nn.Sequential(
                nn.Conv2d(before, after, 1, bias=False),
                nn.ReLU(),
                nn.Conv2d(after, after, 1, bias=False),
                nn.ReLU(),
                nn.Conv2d(after, after, 1, bias=False),
            )
            self.raw_variances[role] = nn.Parameter(torch.full((after, 1, 1), start))

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `likelihood`, summed over hints."""
        losses = []
        for role in self.hints:
            variance = F.softplus(self.raw_variances[role]) + self.least
            gap = teacher.hints[role] - self.means[role](student.hints[role])
            losses.append(0.5 * (gap.square() / variance + variance.log()).mean())
        return {"likelihood": self.params["weight"] * torch.stack(losses).sum()}
