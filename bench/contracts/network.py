"""The contract of an architecture: one file in `bench/nets/`, width is an argument.

A network returns hint features when asked for them by role; nothing hooks into it. Layer names
and indices follow the original code where it has a flat list of layers, so that its published
weights load. Parameter counts and MACs are those of the papers (`distillbench count`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from bench.errors import SuiteError
from bench.maths.pruning import walk


class Network(nn.Module):
    """What generators and discriminators declare."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # parameters a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}  # what a parameter may be
    version: ClassVar[int] = 1  # raise it when the network's numbers change
    source: ClassVar[str] = ""  # paper or code
    role: ClassVar[str] = ""  # "generator" or "discriminator"
    taps: ClassVar[Mapping[str, int]] = {}  # role of a hint feature -> layer
    multiple: ClassVar[int] = 1  # the image side must be a multiple of this
    task_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # task -> its recipe's losses


class Generator(Network):
    """Image to image: [N, 3, S, S] in [-1, 1] -> [N, 3, S, S] in [-1, 1].

    Hint roles, in order, are `down` (after the encoder), `mid1`, `mid2` and `up` (before the
    decoder); the layers are those of GAN Compression, OMGD and DCD.
    """

    role = "generator"
    model: nn.Sequential

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.width, self.size, self.params = width, size, params

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output and the features that `hints` ask for by role, [N, C, H, W] each."""
        return run(self.model, x, {role: self.taps[role] for role in hints})

    def inherit(self, teacher: Generator) -> None:
        """Start from the strongest channels of a teacher of the same architecture.

        Raises:
            SuiteError: it is another architecture, or narrower than this one.
        """
        names = type(teacher).__name__, type(self).__name__
        if not isinstance(teacher, type(self)) or teacher.params != self.params:
            raise SuiteError(
                f"the student's channels are to be the teacher's: {names[1]} with "
                f"{dict(self.params)} cannot start from {names[0]} with {dict(teacher.params)}."
            )
        if teacher.width < self.width:
            raise SuiteError(
                f"a student of width {self.width} cannot start from a teacher of {teacher.width}."
            )
        self._inherit(teacher, torch.arange(3, device=next(teacher.parameters()).device))

    def _inherit(self, teacher: Self, kept: Tensor) -> None:
        """Copy channels, from the image's on; architectures that are no flat list override this."""
        walk(self.model, teacher.model, kept)


class Discriminator(Network):
    """Image to maps of logits: [N, in_channels, S, S] -> one [N, 1, h, w] per scale, unbounded.

    Hint roles `d1` ... `d4` are the activations after each hidden convolution.
    """

    role = "discriminator"
    taps = {"d1": 1, "d2": 4, "d3": 7, "d4": 10}
    model: nn.Sequential

    def __init__(self, width: int, in_channels: int, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.width, self.in_channels, self.params = width, in_channels, params

    def forward(
        self, x: Tensor, hints: Sequence[str] = ()
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the logits of each scale and the features that `hints` ask for."""
        logits, found = run(self.model, x, {role: self.taps[role] for role in hints})
        return [logits], found


def run(
    model: nn.Sequential, x: Tensor, taps: Mapping[str, int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run layers in order; return the last output, and that of each layer that `taps` names."""
    roles = {layer: role for role, layer in taps.items()}
    found = {}
    for index, layer in enumerate(model):
        x = layer(x)
        if index in roles:
            found[roles[index]] = x
    return x, found
