"""This machine as a place where a run computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bench.run.executors import Executor, InProcess, Processes
from bench.run.job import Emit


class Computer(Protocol):
    """Where a run computes, and what each of its jobs is told."""

    @property
    def device(self) -> str:
        """What a worker computes on, "cpu" or "cuda"."""

    @property
    def threads(self) -> int:
        """CPU threads of each worker; part of what fixes bits on a CPU."""

    @property
    def checkpoint_s(self) -> float:
        """At least this long between two checkpoints, in seconds."""

    def open(self, emit: Emit, cells: int) -> Executor:
        """Return who does the jobs; the caller closes it.

        Args:
            emit: told of every event.
            cells: how many there are to do, so that no worker is started in vain.
        """


@dataclass(frozen=True)
class Machine:
    """This machine: one process, or as many workers as jobs are done at once."""

    device: str  # "cpu" or "cuda"
    jobs: int  # cells, or cohorts, at once
    threads: int = 1  # of each worker; part of what fixes bits on a CPU
    checkpoint_s: float = 30.0  # at least this long between two checkpoints

    def open(self, emit: Emit, cells: int) -> Executor:
        """Return who does the jobs; see `Computer.open`."""
        count = min(self.jobs, max(1, cells))
        return InProcess(emit) if count == 1 else Processes(emit, count, self.threads)
