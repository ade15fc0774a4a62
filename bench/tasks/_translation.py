"""What paired and unpaired translation share: an adversary per direction, and its game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from bench.contracts.distiller import Trace
from bench.contracts.task import Batch, Memory, Networks, Task, Turn
from bench.errors import SuiteError
from bench.losses.gan import ImagePool, discriminator_loss


class Translation(Task):
    """Image-to-image translation between the domains A and B, as an adversarial game.

    Each direction has a generator and a discriminator, which also sees a pool of earlier images if
    the task has one. A player whose methods keep no adversarial term has no discriminators.
    """

    networks = ("generator", "discriminator")
    outputs = {"modes": ["eval"], "rounding": "rounded"}
    adversarial: ClassVar[Sequence[str]] = ("gan",)

    @property
    def judged_channels(self) -> int:
        """A discriminator sees input and image where data are paired, else the image alone."""
        return 6 if self.paired else 3

    def check(self) -> None:
        """Refuse what Adam or the image pool would refuse at the first step."""
        super().check()
        if self.params.get("pool", 0) < 0:
            raise SuiteError(f"task.pool: should be at least 0: {self.params['pool']}.")

    def memory(self) -> dict[str, Memory]:
        """Return an image pool per direction."""
        return {f"pool.{d}": ImagePool(self.params.get("pool", 0)) for d in self.directions}

    def forward(
        self, networks: Networks, batch: Batch, hints: Sequence[str], stage: str
    ) -> dict[str, Trace]:
        """Run each direction's generator; its trace knows who judges it, in which game."""
        judges, game = dict(networks["discriminator"].items()), self.params["gan"]
        return {
            direction: replace(trace, discriminator=judges.get(direction), gan=game)
            for direction, trace in super().forward(networks, batch, hints, stage).items()
        }

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the kept terms of the generators, or each discriminator's loss."""
        if turn.name == "generator":
            return self.generator_terms(turn)
        if not turn.networks["discriminator"]:
            return {}
        fakes = {
            d: turn.memory[f"pool.{d}"].query(trace.output) for d, trace in turn.traces.items()
        }
        found = {}
        for direction, trace in turn.traces.items():
            fake, _ = trace.judge(fakes[direction])
            real, _ = trace.judge(trace.real)
            kind = self.params["gan"]
            found[f"discriminator.{direction}"] = discriminator_loss(kind, real, fake)
        return found

    def generator_terms(self, turn: Turn) -> dict[str, Tensor]:
        """Return the kept terms of the generators' loss, weighted."""
        raise NotImplementedError
