"""Adapters of hint features, and hints as a teacher's discriminator sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Layout, check_grids
from bench.contracts.network import Discriminator, initialise

LEAST = 32  # pixels: on smaller maps the deepest features of a PatchGAN have no extent


def adapter(before: int, after: int) -> nn.Sequential:
    """Return 1x1 convolution without bias, batch norm and ReLU, drawn as GANs are (N(0, 0.02)).

    Source: bytedance/OMGD at f2492a44, build_feature_connector and init_net.
    """
    convolution = nn.Conv2d(before, after, 1, bias=False)
    layers = nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
    initialise(layers)
    return layers


class View(NamedTuple):
    """One hint of both players, as images that a discriminator can look at: [N, C, S, S] each."""

    student: Tensor
    teacher: Tensor


class Views(nn.Module):
    """Maps the hints of both players to as many channels as a discriminator sees.

    On unpaired data the teacher's adapters stay as they were drawn, in evaluation mode. On paired
    data they train with the student's, as in the official code, although mapping everything to
    zero would then be a solution too.

    Source: DCD's adapters; poopit/DCD-official at 3dbc87b1.
    """

    def __init__(self, roles: Sequence[str], student: Layout, teacher: Layout) -> None:
        check_grids(roles, student, teacher)
        super().__init__()
        seen = student.judged_channels
        self.student = nn.ModuleDict({r: adapter(student.hints[r][0], seen) for r in roles})
        self.teacher = nn.ModuleDict({r: adapter(teacher.hints[r][0], seen) for r in roles})
        is_paired = seen == 6
        self.teacher.train(is_paired).requires_grad_(is_paired)

    def forward(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> list[View]:
        """Return one view per hint; maps smaller than 32 px are enlarged by repeating pixels."""
        return [
            View(enlarged(own(student[role]), LEAST), enlarged(above(teacher[role]), LEAST))
            for (role, own), above in zip(self.student.items(), self.teacher.values(), strict=True)
        ]


def enlarged(maps: Tensor, side: int) -> Tensor:
    """[N, C, H, H] -> [N, C, side, side] by repeating pixels, unless they are as large already."""
    return F.interpolate(maps, size=side) if maps.shape[-1] < side else maps


def cooperation(discriminator: Discriminator, views: Sequence[View]) -> Tensor:
    """Return how far the two players' hints are apart in a discriminator's eyes: [].

    The sum over hints of the mean absolute difference of the deepest features (`d4`).

    Source: DCD's feature map term; FESD, eq. 12.
    """
    distances = []
    for view in views:
        _, found = discriminator(view.student, ("d4",))
        with torch.set_grad_enabled(view.teacher.requires_grad):
            _, wanted = discriminator(view.teacher, ("d4",))
        distances.append(F.l1_loss(found["d4"], wanted["d4"]))
    return torch.stack(distances).sum()
