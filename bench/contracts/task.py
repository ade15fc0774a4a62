"""The contract of a task: the original game, as the student would play it without a teacher.

A task says which networks there are, runs them, and returns the ORIGINAL losses as named terms.
The loop optimises; the distiller adds its own terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contracts.distiller import Trace
from bench.losses.gan import discriminator_loss

Batch = Mapping[str, Tensor]  # domain -> [N, 3, S, S] float32 in [-1, 1]


class Task:
    """Image-to-image translation between the domains A and B, as an adversarial game."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # losses and weights a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1  # raise it when the task's numbers change
    source: ClassVar[str] = ""
    directions: ClassVar[Mapping[str, Sequence[str]]] = {}  # name -> (from, to) domain
    turns: ClassVar[Sequence[str]] = ()  # who moves first: "discriminator", "generator"
    paired: ClassVar[bool] = False  # whether B holds the ground truth of A
    makes: ClassVar[str] = "images"  # or "labels": what its generators put out
    terms: ClassVar[Sequence[str]] = ()  # names of the original generator terms
    adversarial: ClassVar[Sequence[str]] = ("gan",)  # those that need a discriminator

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    @property
    def judged_channels(self) -> int:
        """How many channels a discriminator sees."""
        return 6 if self.paired else 3

    @property
    def weights(self) -> Sequence[str]:
        """Pretrained networks of `bench/fetch/weights.py` that the losses need."""
        return ()

    def forward(
        self,
        generators: nn.ModuleDict,
        discriminators: nn.ModuleDict,
        batch: Batch,
        hints: Sequence[str],
    ) -> dict[str, Trace]:
        """Run each direction's generator on its domain; return one trace per direction."""
        traces = {}
        game = self.params.get("gan", "")  # a task without adversaries has none
        for direction, (source, target) in self.directions.items():
            output, found = generators[direction](batch[source], hints)
            judges = discriminators
            judge: Any = judges[direction] if direction in judges else None  # noqa: SIM401
            traces[direction] = Trace(
                batch[source], output, found, batch[target], self.paired, judge, game
            )
        return traces

    def generator_terms(
        self,
        generators: nn.ModuleDict,
        traces: Mapping[str, Trace],
        keeps: Sequence[str],
    ) -> dict[str, Tensor]:
        """Return those original terms of the generators' loss that `keeps` names, weighted."""
        raise NotImplementedError

    def discriminator_terms(
        self, traces: Mapping[str, Trace], fakes: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return each discriminator's loss on real images and on `fakes`, which have no graph."""
        kind = self.params["gan"]
        found = {}
        for direction, trace in traces.items():
            fake, _ = trace.judge(fakes[direction])
            real, _ = trace.judge(trace.real)
            found[f"discriminator.{direction}"] = discriminator_loss(kind, real, fake)
        return found

    @torch.no_grad()
    def generate(self, generators: nn.ModuleDict, direction: str, images: Tensor) -> Tensor:
        """Turn test images into outputs: [N, 3, S, S] in [-1, 1] both."""
        output: Tensor = generators[direction](images)[0]
        return output
