"""What is made from noise is kept batch by batch: a kill costs one batch at most.

A sample takes many passes of a network, so it stays where a metric that comes later, or a sheet
of images, finds it. Batches lie under the weights that made them and the way they were made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from bench.errors import Damaged, StoreError
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.scores import count_outputs, modes_of
from bench.store.atomic import free_bytes
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.player import Player

Recall = Callable[[range, Callable[[], Tensor]], Tensor]
"""Takes the places of a batch and what makes it; returns it, from disk if it was made before."""


def keeper(cell: Cell, store: Store, student: Player, direction: str, mode: str) -> Recall:
    """Return what keeps the outputs of a student in one direction, [N, 3, S, S] of 8 bits.

    Where outputs are made from images, a pass each, nothing is kept.
    """
    source, _ = cell.task.declared.directions[direction]
    if source:
        return lambda places, make: make()
    how = {n: x for n, x in cell.outputs.items() if n not in ("samples", "modes")}
    made_by: list[object] = [checkpoint.digest(student.networks()), direction, mode, how]
    if student.codec:
        made_by += [student.codec.content, student.codec.scale]
    name = identity(made_by)
    folder = store.made(cell.key) / name

    def recall(places: range, make: Callable[[], Tensor]) -> Tensor:
        path = folder / f"{places.start}-{places.stop}.safetensors"
        with contextlib.suppress(Damaged):  # then it is made again
            if path.exists():
                kept = checkpoint.load(path)[0]["images"]
                return kept.to(student.device).float().div(255)
        images = make()
        checkpoint.save(path, {"images": images.mul(255).round().to(torch.uint8)}, {})
        return images

    return recall


def check_room(cells: Iterable[Cell], store: Store, watched: bool) -> None:
    """Refuse more samples than the disk has room for, beside those that it holds already.

    Args:
        cells: that will be scored.
        store: where.
        watched: whether their snapshots make samples too.

    Raises:
        StoreError: how much they need, and how much there is.
    """
    needed = sum(_missing(cell, store, watched) for cell in cells if cell.scored_on)
    free = free_bytes(store.root)
    if needed > free:
        raise StoreError(
            f"{store.root}: samples need {needed / 1e9:,.1f} GB and {free / 1e9:,.1f} GB are free: "
            "ask for fewer `samples`, or name another store."
        )


def _missing(cell: Cell, store: Store, watched: bool) -> int:
    """Return how much the samples of a cell still need."""
    there = sum(f.stat().st_size for f in store.made(cell.key).rglob("*") if f.is_file())
    return max(0, _bytes(cell) * (1 + cell.snapshots * watched) - there)


def _bytes(cell: Cell) -> int:
    """Return how much the samples of a cell's result take: a byte per pixel and colour."""
    sources = cell.task.declared.directions.items()
    counts = (
        count_outputs(cell, name, cell.scored_on) for name, (source, _) in sources if not source
    )
    return sum(counts) * 3 * cell.size**2 * cell.peers * len(modes_of(cell))
