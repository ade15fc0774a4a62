"""This machine as a place where a run computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bench.run import gpus
from bench.run.executors import Executor, InProcess, Processes
from bench.run.gpus import Gpu
from bench.run.job import Emit

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


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

    @property
    def is_elsewhere(self) -> bool:
        """Whether other machines do jobs, and so are looked through before they do any."""

    def open(self, emit: Emit, cells: int) -> Executor:
        """Return who does the jobs; the caller closes it.

        Args:
            emit: told of every event.
            cells: how many there are to do, so that no worker is started in vain.
        """


@dataclass(frozen=True)
class Machine:
    """This machine: a process per job at once; for one at a time on the CPU, this process."""

    jobs: int  # cells, or cohorts, at once
    threads: int = 1  # of each worker; part of what fixes bits on a CPU
    checkpoint_s: float = 30.0  # at least this long between two checkpoints
    gpus: tuple[Gpu, ...] = ()  # over which workers are dealt; none: the CPU

    @property
    def device(self) -> str:
        """What a worker computes on; of several GPUs it sees one."""
        return "cuda" if self.gpus else "cpu"

    @property
    def is_elsewhere(self) -> bool:
        """False: what is scored here was looked for before the walk began."""
        return False

    def open(self, emit: Emit, cells: int) -> Executor:
        """Return who does the jobs; see `Computer.open`."""
        count = min(self.jobs, max(1, cells))
        if count == 1 and not self.gpus:
            return InProcess(emit)
        threads = limited(self.threads)
        return Processes(emit, [threads | told for told in gpus.deal(self.gpus, count)])


def limited(threads: int) -> dict[str, str]:
    """Return what the environment of a worker says that is to use so many CPU threads."""
    return dict.fromkeys(THREADS, str(threads))
