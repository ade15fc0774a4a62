"""GAN Compression's distillation: the student's features, mapped to the teacher's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Inputs, Layout, Side, Trace, check_grids
from bench.contracts.network import initialise
from bench.errors import SuiteError


class GANCompression(Distiller):
    """Mean squared distance of the teacher's hints to 1x1 convolutions of the student's.

    The hints have `paired_weight` where data are paired and `weight` where they are not: the
    original's default, 1, and its choice on horse2zebra, 0.01.

    `recipe: hints`, the default, adds that to the original loss, as WKD's tables use it; WKD states
    no weight, so it has the original's.

    `recipe: full` is the method of its own paper. The original loss keeps `gan`, and where data are
    paired `l1`; where they are not, the L1 distance to the teacher's image takes the place of the
    cycle, with weight `recon`. The student starts from the teacher's strongest channels, its
    discriminator from the teacher's, which has to have the same width; a teacher that is not
    trained yet (`online`, `peers`) is refused. The original trains one direction of CycleGAN, here
    both are trained; it searches widths as well, which is not done here. Its other settings belong
    to the suite: on paired data hinge loss, discriminators of width 128 and `order: simultaneous`.
    Pix2PixHD's own losses have no L1: set `task: {lambda_l1: 100}` with it.
    """

    defaults = {"recipe": "hints", "weight": 0.01, "paired_weight": 1.0, "recon": 10.0}
    choices = {"recipe": ("hints", "full")}
    version = 2
    strength = ("weight", "paired_weight")
    source = "Li et al., CVPR 2020, eq. 1-3; mit-han-lab/gan-compression at 111093fc"
    hints = ("down", "mid1", "mid2", "up")

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.is_full = params["recipe"] == "full"
        if self.is_full:
            self.keeps = ("gan", "l1")
            self.teachers = ("frozen", "same", "assistant")

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create a 1x1 convolution per hint, N(0, 0.02); they train with the student."""
        check_grids(self.hints, student, teacher)
        self.adapters = nn.ModuleDict(
            {
                role: nn.Conv2d(student.hints[role][0], teacher.hints[role][0], 1)
                for role in self.hints
            }
        )
        initialise(self.adapters)

    def check(self, student: Side, teacher: Side, batch: int) -> None:
        """Refuse networks that cannot start from the teacher's, if they are to."""
        if self.is_full:
            _start(student, teacher)

    def prepare(self, student: Side, teacher: Side, inputs: Iterable[Inputs]) -> None:
        """Start the student from the teacher, in the full recipe."""
        if self.is_full:
            _start(student, teacher)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `hints`, summed over hints; in the full recipe on unpaired data also `recon`."""
        p = self.params
        losses = [
            F.mse_loss(self.adapters[role](student.hints[role]), teacher.hints[role])
            for role in self.hints
        ]
        weight = p["paired_weight"] if student.paired else p["weight"]
        found = {"hints": weight * torch.stack(losses).sum()}
        if self.is_full and not student.paired:
            found["recon"] = p["recon"] * F.l1_loss(student.output, teacher.output)
        return found


def _start(student: Side, teacher: Side) -> None:
    """Copy the teacher's strongest channels and its discriminator into the student's networks."""
    student.generator.inherit(teacher.generator)
    if student.discriminator is None:  # another method of a sum does without
        return
    if teacher.discriminator is None:
        raise SuiteError("gan_compression: `recipe: full` needs a teacher with a discriminator.")
    mine, theirs = student.discriminator, teacher.discriminator
    if type(mine) is not type(theirs) or mine.width != theirs.width:
        raise SuiteError(
            "gan_compression: with `recipe: full` the student's discriminator starts as the "
            f"teacher's, but their widths are {mine.width} and {theirs.width}; set "
            "teacher.discriminator_width and discriminator_widths to one value."
        )
    mine.load_state_dict(theirs.state_dict())
