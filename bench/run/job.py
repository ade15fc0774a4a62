"""What a run asks of a worker, and how a worker reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.contracts.metric import Metric
from bench.plan.cell import Cell
from bench.plan.scores import judges
from bench.plugins.registry import Part

Emit = Callable[[str, str, Mapping[str, Any]], None]
"""Takes (event, key of the cell or "", data). Events:

    note          something a person may want to know: text
    phase         what begins, on a cell or, without a key, on all of them: phase
    waiting       another process is at work on the cell
    progress      a window of steps: step, steps, losses
    ended         the cell is done, failed or diverged: status, reason
    scored        the cell's scores are in the store
    error         something went wrong that is no cell's outcome: reason
    interrupted   a job stopped on request
    died          a worker died: job, reason
"""


@dataclass(frozen=True)
class Job:
    """Cells that one worker takes together."""

    action: Literal["check", "train", "measure"]
    cells: tuple[Cell, ...]  # to train: with equal batches
    teachers: Mapping[str, Cell]  # key -> cell of every frozen teacher
    metrics: tuple[Part[Metric], ...]
    watched: tuple[Part[Metric], ...]  # by which snapshots are scored
    store: Path
    device: str  # "cpu" or "cuda"
    threads: int
    checkpoint_s: float  # between checkpoints
    provenance: str  # id of the record
    again: bool = False  # measure even what was measured

    @property
    def above(self) -> set[str]:
        """Keys of the cells that its own learn from or are judged by."""
        metrics = (*self.metrics, *self.watched)
        return {key for c in self.cells for key in (*c.needs, *judges(c, metrics))}
