"""How much arithmetic training is, before anything was timed: the same number on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch

from bench.contracts.network import Network
from bench.errors import CountError
from bench.plan.cell import Cell, Nets
from bench.plan.learning_rate import schedule_of
from bench.train.learner import open_task
from bench.train.player import discriminator, generator

LEARNING = 3  # a step in passes of a network: forward, and twice that backward
JUDGING = 2  # a discriminator learns, and is learnt from


def training_macs(cohort: Sequence[Cell], known: Mapping[str, Cell]) -> int:
    """Return the MACs of training a cohort, about; what is given takes none.

    Each student's own passes, and those of each frozen teacher, which serve all of its students at
    once. What methods add of their own is not counted.

    Args:
        cohort: cells that advance together.
        known: key -> cell of their teachers; one that is not there is not counted.
    """
    trained = [cell for cell in cohort if not cell.given]
    own = sum(_images(cell) * LEARNING * _players(cell) for cell in trained)
    taught = {cell.teacher: cell for cell in trained if cell.teacher in known}
    frozen = sum(_images(cell) * _makers(cell, known[key].nets) for key, cell in taught.items())
    return own + frozen


def _images(cell: Cell) -> int:
    """Return from how many images a cell learns in each direction."""
    stages = schedule_of(cell).stages
    return sum(stage.steps * stage.budget.batch for stage in stages)


def _players(cell: Cell) -> int:
    """Return the MACs of one pass of everything that learns."""
    students = cell.peers * _player(cell, cell.nets)
    return students + sum(_player(cell, nets) for nets in cell.mentors)


def _player(cell: Cell, nets: Nets) -> int:
    judges = 0
    if nets.discriminator and "discriminator" in cell.task.declared.networks:
        channels = open_task(cell).judged_channels
        judges = JUDGING * len(cell.task.declared.directions) * _judge(nets, channels, cell.size)
    return _makers(cell, nets) + judges


def _makers(cell: Cell, nets: Nets) -> int:
    """Return the MACs of one image in every direction."""
    return len(cell.task.declared.directions) * _maker(nets, cell.side)


@cache
def _maker(nets: Nets, side: int) -> int:
    with torch.device("meta"):
        network = generator(nets, side)
    return _macs(network, side)


@cache
def _judge(nets: Nets, channels: int, size: int) -> int:
    with torch.device("meta"):
        network = discriminator(nets, channels)
    return _macs(network, size, torch.empty(1, channels, size, size, device="meta"))


def _macs(network: Network, side: int, *inputs: torch.Tensor) -> int:
    """Return a network's MACs; where an operator is unknown, as if all were convolutions."""
    try:
        return network.cost(*inputs).macs
    except CountError:
        return sum(x.numel() for x in network.parameters()) * side**2
