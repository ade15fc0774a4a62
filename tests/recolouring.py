"""A tiny task of another kind than translation: two stages, and test outputs of pairs of images.

An encoder is trained first and a decoder after it, each with a budget of its own; a test output
is one photograph in the colours of another. What style transfer needs, at the smallest size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import denoising
import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Layout, Trace
from bench.contracts.network import Generator
from bench.contracts.task import Batch, Networks, ReadTest, Task, Turn


class Photos(denoising.Photos):
    """Crops of photographs to train on, and others to test on."""

    task = "recolouring:Recolour"

    def count(self, split: str, domain: str) -> int:
        """Return the number of crops."""
        return {"train": 20, "test": 6}.get(split, 0) if domain == "A" else 0


class RecolourNet(Generator):
    """An encoder of two convolutions and a decoder of two; a width is a number for each level."""

    source = "nobody"
    taps = {"mid1": 1}
    multiple = 4
    widths = 2

    def __init__(self, width: tuple[int, int], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        first, second = width
        self.encoder = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1), nn.LeakyReLU(), nn.Conv2d(first, second, 3, 2, 1)
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(second, first, 3, 1, 1), nn.LeakyReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(first, 3, 3, 1, 1),
        )  # fmt: skip

    def initialise(self) -> None:
        """Stay at torch's own initial weights."""

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the image again, and its code where it is asked for."""
        code = self.encoder(x)
        return self.decoder(code), {"mid1": code} if hints else {}


class Recolour(Task):
    """First the encoder learns to keep the blurred image, then the decoder to restore it all."""

    defaults = {"beta1": 0.9, "beta2": 0.999}
    source = "nobody"
    directions = {"recolour": ("A", "A")}
    stages = {
        "encode": {"generator": ("generator.encoder",)},
        "decode": {"generator": ("generator.decoder",)},
    }
    paired = True
    terms = ("blurred", "image")

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the loss of the present stage."""
        trace = turn.traces["recolour"]
        if turn.stage == "encode":
            small = (F.avg_pool2d(x, 4) for x in (trace.output, trace.real))
            found = {"blurred": F.mse_loss(*small)}
        else:
            found = {"image": F.l1_loss(trace.output, trace.real)}
        return {name: term for name, term in found.items() if name in turn.keeps}

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return a photograph, and the one whose colours it gets."""
        return {"A": read("A", index), "style": read("A", 5 - index)}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Move the means of the code's channels to those of the other photograph."""
        network = networks["generator"][direction]
        content, style = network.encoder(items["A"]), network.encoder(items["style"])
        shift = style.mean((2, 3), keepdim=True) - content.mean((2, 3), keepdim=True)
        moved: Tensor = network.decoder(content + shift)
        return moved

    def shown(self, direction: str, items: Batch) -> dict[str, Tensor]:
        """Return both photographs."""
        return {"input": items["A"], "style": items["style"]}


class Codes(Distiller):
    """The teacher's code, through a 1x1 convolution."""

    source = "nobody"
    tasks = ("recolouring:Recolour",)
    teachers = ("frozen",)
    hints = ("mid1",)

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create the convolution."""
        self.adapter = nn.Conv2d(student.hints["mid1"][0], teacher.hints["mid1"][0], 1)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the distance of the codes."""
        return {"code": F.mse_loss(self.adapter(student.hints["mid1"]), teacher.hints["mid1"])}
