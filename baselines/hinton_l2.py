"""Distillation of outputs by their mean square: the student imitates the predicted noise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Trace


class HintonL2(Distiller):
    """Mean squared difference of the noise that teacher and student find in the same image.

    The output distillation of diffusion models: time and noise are the same for both, the distance
    is that of the original loss. `hinton` is the same for translation, with its papers' L1 of
    images. Weight 1 counts the teacher's noise as much as the true one.
    """

    defaults = {"weight": 1.0}
    strength = ("weight",)
    source = "Hinton et al. 2015; the output term of BK-SDM, Kim et al., ECCV 2024"
    tasks = ("diffusion", "signals")
    teachers = ("frozen", "same", "assistant", "online", "peers")

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the weighted mean square."""
        return {"l2": self.params["weight"] * F.mse_loss(student.output, teacher.output)}
