"""The contract of an architecture: one file in `bench/nets/`, width is an argument.

A network returns hint features when asked for them by role; nothing hooks into it. Layer names
and indices follow the original code where it has a flat list of layers, so that its published
weights load. Parameter counts and MACs are those of the papers (`distillbench count`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from bench.contracts.width import channels
from bench.errors import SuiteError
from bench.maths.count import Count, count
from bench.maths.pruning import walk

OWN = "its own"  # layout


class Network(nn.Module):
    """What generators and discriminators declare."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # parameters a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}  # what a parameter may be
    version: ClassVar[int] = 1  # raise it when the network's numbers change
    source: ClassVar[str] = ""  # paper or code
    role: ClassVar[str] = ""  # "generator" or "discriminator"
    taps: ClassVar[Mapping[str, int]] = {}  # role of a hint feature -> layer
    multiple: ClassVar[int] = 1  # the image side must be a multiple of this
    widths: ClassVar[int] = 1  # how many numbers a width has; more than 1: it is a tuple
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks that `start` reads
    task_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # task -> its recipe's losses

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return inputs of zeros, on torch's present default device.

        Args:
            batch: images.
            sides: height and width in pixels; None: the network's own.
        """
        raise NotImplementedError

    def twin(self) -> Self:
        """Return the same network with weights of its own, on torch's present default device."""
        raise NotImplementedError

    def initialise(self) -> None:
        """Draw the initial weights; by default as GANs do."""
        initialise(self)

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return how files name this network's tensors: layout -> its own name -> that in a file.

        The first is that of the official code, in which a network is exported. Layouts differ in
        names alone: the same tensors in the same shapes are the same function.
        """
        return {OWN: {name: name for name in self.state_dict()}}

    def cost(self, *inputs: Tensor) -> Count:
        """Return parameters and MACs at batch 1 and the network's own image size.

        Args:
            inputs: on torch's meta device, in place of `example`.

        Raises:
            CountError: an operator is not known.
        """
        with torch.device("meta"):
            twin = self.twin()
            return count(twin, *(inputs or twin.example()))


class Generator(Network):
    """Image to image: [N, 3, S, S] in [-1, 1] -> [N, 3, S, S] in [-1, 1].

    Hint roles, in order, are `down` (after the encoder), `mid1`, `mid2` and `up` (before the
    decoder); the layers are those of GAN Compression, OMGD and DCD. An architecture whose task
    feeds it something else overrides `forward` and `example` alike.
    """

    role = "generator"
    parts: ClassVar[Mapping[str, str]] = {}  # part of a call -> submodule; they are timed apart
    rest: ClassVar[str] = ""  # where there are parts: what a call does beside them
    model: nn.Sequential

    def __init__(self, width: Any, size: int, params: Mapping[str, Any]) -> None:
        """Build the network.

        Args:
            width: base channels; a tuple where the architecture declares several `widths`.
            size: image side in pixels.
            params: the defaults, overlaid by the suite.
        """
        super().__init__()
        self.width: Any = width
        self.size, self.params = size, params

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return one image of zeros per place in the batch."""
        return (torch.zeros(batch, 3, *(sides or (self.size, self.size))),)

    def twin(self) -> Self:
        """Return the same architecture."""
        return type(self)(self.width, self.size, self.params)

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output and the features that `hints` ask for by role, [N, C, H, W] each."""
        return run(self.model, x, {role: self.taps[role] for role in hints})

    def start(self, inputs: Iterable[tuple[Tensor, ...]], files: Mapping[str, Path]) -> None:
        """Finish the initial weights, once, before methods prepare; by default they are whole.

        Called without gradients, in evaluation mode; a resumed run does not call it.

        Args:
            inputs: what the network is fed of the whole training split, batch by batch.
            files: name -> checked file of each of `weights`.
        """

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
        if any(t < s for t, s in zip(channels(teacher.width), channels(self.width), strict=True)):
            raise SuiteError(
                f"a student of width {self.width} cannot start from a teacher of {teacher.width}."
            )
        self._inherit(teacher, torch.arange(3, device=next(teacher.parameters()).device))

    def _inherit(self, teacher: Self, kept: Tensor) -> None:
        """Copy channels, from the image's on; architectures that are no flat list override this."""
        walk(self.model, teacher.model, kept)


class Autoencoder(Generator):
    """Image to itself by way of a code, [N, C, s, s], unbounded.

    Has the parameters `channels`, C, and `multiples`, one number per level; each level but the
    first halves the grid. Its output is made from the code: from the likeliest one in evaluation
    mode. Hint `moments` is what codes are drawn by, [N, 2 C, s, s]: means, logarithms of variances.
    """

    role = "autoencoder"
    taps = {"moments": 0}

    def encode(self, images: Tensor) -> Tensor:
        """Return the likeliest codes, [N, C, s, s], of images [N, 3, S, S] in [-1, 1]."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images, [N, 3, S, S] around [-1, 1], of codes."""
        raise NotImplementedError


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

    def twin(self) -> Self:
        """Return the same architecture."""
        return type(self)(self.width, self.in_channels, self.params)

    def forward(
        self, x: Tensor, hints: Sequence[str] = ()
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the logits of each scale and the features that `hints` ask for."""
        logits, found = run(self.model, x, {role: self.taps[role] for role in hints})
        return [logits], found

    def share(self, other: Self, convolutions: int) -> None:
        """Judge by another's first convolutions and what follows each; they are one from then on.

        Raises:
            SuiteError: there are not so many.
        """
        ends = [0, *(layer + 1 for layer in self.taps.values()), len(self.model)]
        if convolutions >= len(ends):
            raise SuiteError(
                f"teacher.deeper.shared: a discriminator has {len(ends) - 1} convolutions to "
                f"share, not {convolutions}."
            )
        for index in range(ends[convolutions]):
            self.model[index] = other.model[index]


def initialise(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02), norms from N(1, 0.02), biases 0: the original code's default.

    Pix2PixHD leaves the biases of convolutions at torch's default; they are zeroed here too.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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
