"""Distillation of outputs: the student imitates the teacher's image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Trace


class Hinton(Distiller):
    """L1 between the images of teacher and student, in both directions on CycleGAN.

    WKD's equation 3 states no weight. The default is GAN Compression's for exactly this term on
    horse2zebra (`lambda_recon 10`).
    """

    defaults = {"weight": 10.0}
    strength = ("weight",)
    elsewhere = {
        "style": "while a style transfer trains nothing is stylised: student and source both put "
        "out the image that they were given, so that to imitate outputs is the reconstruction loss"
    }
    source = "Hinton et al. 2015, in the form of Zhang et al. (WKD), CVPR 2022, eq. 3"

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the weighted mean absolute difference of the two images."""
        return {"l1": self.params["weight"] * F.l1_loss(student.output, teacher.output)}
