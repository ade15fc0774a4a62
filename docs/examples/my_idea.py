"""Distillation of outlines: the student imitates where the teacher's image changes."""

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Trace


class MyIdea(Distiller):
    """L1 between the images of teacher and student, and between their differences of neighbours."""

    defaults = {"image": 10.0, "outlines": 10.0}  # what a suite may set
    strength = ("image", "outlines")  # what tuning multiplies
    source = "an example"

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        found = {"image": F.l1_loss(student.output, teacher.output)}
        sides = [F.l1_loss(student.output.diff(dim=d), teacher.output.diff(dim=d)) for d in (2, 3)]
        found["outlines"] = sides[0] + sides[1]
        return {name: self.params[name] * term for name, term in found.items()}
