"""What test outputs are made from and held against, batch by batch, as a cell's task says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.contracts.task import Task
from bench.maths.seed import derive
from bench.plan.cell import Cell
from bench.plan.scores import count_outputs
from bench.train.batches import normalise
from bench.train.decoded import open_decoded


def items(
    cell: Cell, task: Task, direction: str, split: str, batch: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Yield what the outputs of a split are made from: `Task.item`, stacked, on a device."""
    dataset = open_decoded(cell.dataset)

    def read(domain: str, index: int) -> Tensor:
        return normalise(dataset.read(split, domain, index, cell.size))

    def item(index: int) -> dict[str, Tensor]:
        seed = derive("outputs", cell.dataset.name, cell.size, direction, index)
        return task.item(read, direction, index, cell.side, np.random.default_rng(seed))

    count = count_outputs(cell, direction, split)
    for first in range(0, count, batch):
        rows = [item(i) for i in range(first, min(first + batch, count))]
        yield {n: torch.stack([row[n] for row in rows]).to(device) for n in rows[0]}
