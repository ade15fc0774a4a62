"""One line: what the student is asked to imitate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Layout, Trace


class Template(Distiller):
    """What the method means; where it differs from its paper, and why.

    This example compares features: a 1x1 convolution maps each hint of the student to the
    teacher's width, and their distance is the loss.
    """

    defaults = {"weight": 1.0}  # what a suite may set, e.g. `template: {weight: 0.1}`
    strength = ("weight",)  # what tuning multiplies
    source = "paper, equation, page"
    hints = ("down", "up")  # also mid1, mid2; leave out for methods that compare images only

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create adapters; their parameters train with the student's."""
        self.adapters = nn.ModuleDict(
            {
                role: nn.Conv2d(student.hints[role][0], teacher.hints[role][0], 1)
                for role in self.hints
            }
        )

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return named loss terms, weighted; on CycleGAN this is called once per direction."""
        losses = [
            F.mse_loss(self.adapters[role](student.hints[role]), teacher.hints[role])
            for role in self.hints
        ]
        return {"hints": self.params["weight"] * sum(losses, start=losses[0].new_zeros(()))}
