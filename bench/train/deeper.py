"""A second teacher that trains along: a generator of its own, judged by the first one's judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.contracts.network import Discriminator
from bench.contracts.task import Task
from bench.plan.cell import Cell
from bench.train.player import Player, State


class DeeperPlayer(Player):
    """A player whose discriminators are those of a first teacher, from the image to some layer.

    What they share learns from the sum of both games, so the first teacher's optimiser moves all
    discriminators. States and checkpoints have what is shared once, with the first teacher.

    Source: Ren et al., ICCV 2021; bytedance/OMGD at f2492a44, MultiNLayerDiscriminator.
    """

    def __init__(self, cell: Cell, task: Task, device: torch.device, first: Player) -> None:
        assert cell.deeper is not None
        super().__init__(cell, cell.deeper.nets, task, device, peer=-2)
        for direction, judge in self.discriminators.items():
            theirs = cast(Discriminator, first.discriminators[direction])
            cast(Discriminator, judge).share(theirs, cell.deeper.shared)
        kept = {id(x) for x in first.modules.state_dict(keep_vars=True).values()}
        mine: Mapping[str, Any] = self.modules.state_dict(keep_vars=True)
        self.shared = frozenset(name for name, x in mine.items() if id(x) in kept)

    def judging(self) -> list[nn.Parameter]:
        """Return the parameters of its discriminators that are not the first teacher's."""
        named = self.modules.named_parameters()
        judges = [(n, p) for n, p in named if n.startswith("discriminator.")]
        return [p for name, p in judges if name not in self.shared]

    def _parameters(self, name: str) -> Iterable[nn.Parameter]:
        """Leave discriminators to the first teacher's optimiser."""
        return () if name == "discriminator" else super()._parameters(name)

    def networks(self) -> State:
        """Leave out what is shared."""
        return {name: x for name, x in super().networks().items() if name not in self.shared}

    def load_networks(self, state: Mapping[str, Tensor]) -> None:
        """Take up saved weights; what is shared is the first teacher's to take up."""
        super().load_networks({**super().networks(), **state})

    def state(self) -> State:
        """Leave out what is shared."""
        left_out = {f"networks.{name}" for name in self.shared}
        return {name: x for name, x in super().state().items() if name not in left_out}
