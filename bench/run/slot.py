"""Room for one cohort on a node of a cluster, who works there and what that needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import Busy
from bench.plan.scores import network_id, reference_id
from bench.run.job import Job
from bench.run.travel import Crossing, in_folder, of_cell, of_teacher
from bench.store.layout import Store


@dataclass(eq=False)
class Slot:
    """Room for one cohort on a node, and who works there."""

    node: str  # its id
    name: str
    actor: Any
    asked: Any = None  # an answer that is waited for
    takes: Callable[[Slot, Any], None] | None = None  # that answer
    is_open: bool = False
    crossing: Crossing | None = None  # to a store there; None: ours is seen
    job: Job | None = None
    cut: str = ""  # why the job stopped, if nobody here said so
    waits: bool = False  # for another process to leave a cell
    locks: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def ask(self, asked: Any, takes: Callable[[Slot, Any], None]) -> None:
        """Wait for an answer."""
        self.asked, self.takes = asked, takes

    def hold(self, store: Store) -> str:
        """Lock the job's cells; where another process has one, return its key and lock none."""
        assert self.job is not None
        for cell in sorted(self.job.cells, key=lambda c: c.key):
            try:
                self.locks.enter_context(store.lock(cell.key, timeout_s=0))
            except Busy:
                self.locks.close()
                return cell.key
        return ""

    def free(self) -> None:
        """Be without a job, whose cells the store there keeps no longer."""
        self.locks.close()
        if self.crossing and self.job:
            self.crossing.forget(cell.key for cell in self.job.cells)
        self.job, self.cut, self.waits = None, "", False

    @property
    def is_idle(self) -> bool:
        """Whether a job can start."""
        return self.is_open and self.job is None


def places(resources: Mapping[str, float], asked: Mapping[str, float]) -> int:
    """Return how many cohorts that ask for so much of each resource a node has room for."""
    return min(_fit(n, resources.get(n, 0), each) for n, each in asked.items() if each)


def _fit(name: str, there: float, each: float) -> int:
    if name == "GPU" and each < 1:  # a part is of one of them
        return int(there) * int(1 / each + 1e-9)
    return int(there / each + 1e-9)


def needed(job: Job, store: Store) -> Iterator[str]:
    """Yield the places of all files that a job reads."""
    for cell in job.cells:
        yield from of_cell(store, cell.key)
        yield f"networks/{network_id(cell)}.json"
        yield f"references/{reference_id(cell)}.json"
    for key in job.above:
        yield from of_teacher(key)
    if any(cell.latents for cell in job.cells):
        yield from in_folder(store, "latents")
