"""A run with as many workers and cells as are asked for, in simulated time.

`bench.run.walk` hands real cells of a real plan to workers that train nothing. Each step of a
student takes a constant and a part per squared width of its generator, and each pass of a frozen
teacher, once per cohort, less of both; a job takes what these make, times a factor drawn for it. A
clock jumps from message to message. Times of training are made up; what the walk costs the process
that runs it is measured, with the pickling of each job that it sends and without what simulating
takes.

    python tests/benchmarks/simulate_scale.py --workers 1000 --cells 100000
    python tests/benchmarks/simulate_scale.py --workers 64 --suite suites/matrix.yaml
"""

from __future__ import annotations

import argparse
import heapq
import math
import pickle
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from tiny import somewhere

from bench.contracts.width import channels
from bench.plan.cell import Cell, Nets
from bench.plan.expand import expand
from bench.plan.learning_rate import schedule_of
from bench.plan.matrix import Plan
from bench.plan.scores import (
    image_scores,
    network_id,
    network_metrics,
    network_protocol,
    record,
    score_id,
)
from bench.plan.suite import load
from bench.run import walk
from bench.run.job import Emit, Job
from bench.store.layout import Json, State, Store, write_json

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "suites" / "matrix.yaml"
SCORED = ("params", "psnr")  # one score of networks, one of images: none needs weights
SPREAD = 0.1  # of the logarithm of a job's time
NEWS = 10  # messages of a job before its end
PER_STEP_S = 0.02  # of each student, whatever its width: launches of kernels
PER_WIDTH_S = 0.02 / 64**2  # of a pass, over the square of a generator's width


class Memory(Store):
    """A store whose cells lie in memory; what is no cell's lies in its folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.files: dict[tuple[str, str], Json] = {}

    def read(self, key: str, name: str) -> Json:
        """Return what was written."""
        return self.files.get((key, name), {})

    def write(self, key: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep a file of a cell."""
        self.files[key, name] = dict(value)

    def state(self, key: str) -> State:
        """Return how a cell ended, if it did."""
        end = self.files.get((key, "end.json"))
        return State(end["status"], end.get("reason", "")) if end else State("missing")


@dataclass
class Workers:
    """A `bench.run.machine.Computer`, and its own executor."""

    store: Store
    count: int
    failures: float = 0.0  # the share of jobs whose worker dies, anywhere on the way
    seed: int = 0
    device: str = "cuda"
    threads: int = 1
    checkpoint_s: float = 30.0
    is_elsewhere: bool = False
    now: float = 0.0
    busy_s: float = 0.0  # of all workers
    jobs: int = 0
    sent_mb: float = 0.0
    cpu_s: float = 0.0  # what simulating took of this process
    trained: dict[str, float] = field(default_factory=dict)  # key -> the share in a checkpoint

    def open(self, emit: Emit, cells: int) -> Workers:
        """Start all of them, whatever there is to do."""
        self.now = self.busy_s = self.cpu_s = self.sent_mb = 0.0
        self.jobs, self.seed = 0, self.seed + 1  # something else happens in each call
        self._emit, self._random = emit, random.Random(self.seed)
        self._news: list[tuple[float, int, int, Job, float]] = []
        self._busy = self._told = 0
        return self

    def idle(self) -> int:
        """Return how many have nothing to do."""
        return self.count - self._busy

    def submit(self, job: Job) -> None:
        """Begin a job: say when it will be heard of, and how far it will come."""
        self.sent_mb += len(pickle.dumps(job)) / 1e6
        began = time.process_time()
        seconds = self._seconds(job) * self._random.lognormvariate(0, SPREAD)
        dies = job.action == "train" and self._random.random() < self.failures
        share = self._random.random() if dies else 1.0
        self._busy += 1
        self.busy_s += seconds * share
        self.jobs += job.action == "train"
        for number in range(1, NEWS + 1):
            self._told += 1
            at = self.now + seconds * share * number / NEWS
            heapq.heappush(self._news, (at, self._told, NEWS - number, job, share))
        self.cpu_s += time.process_time() - began

    def wait(self) -> list[Job]:
        """Let time pass until something is heard."""
        began = time.process_time()
        self.now, _, left, job, share = heapq.heappop(self._news)
        heard = job.cells if job.action == "train" else ()
        ended = [] if left else [job]
        events: list[tuple[str, str, Json]] = []
        if left:
            events = [("progress", c.key, {"step": 1, "steps": 2, "losses": {}}) for c in heard]
        elif share < 1:
            for cell in heard:
                done = self.trained.get(cell.key, 0.0)
                self.trained[cell.key] = done + (1 - done) * share
            events = [("died", "", {"job": job, "reason": "its worker died"})]
        elif job.action == "measure":
            self._measure(job)
        for cell in heard if ended and share == 1 else ():
            scores = {s.id: {"values": {}} for s in image_scores(cell, job.metrics)}
            self.store.write(cell.key, "end.json", {"status": "done"})
            self.store.write(cell.key, "scores.json", scores)
            events += [("ended", cell.key, {"status": "done"}), ("scored", cell.key, {})]
        self.cpu_s += time.process_time() - began
        for event in events:
            self._emit(*event)
        self._busy -= bool(ended)
        return ended

    def stop(self) -> None:
        """Nothing interrupts a simulation."""

    def close(self) -> None:
        """Check that all was waited for."""
        assert not self._news

    def _seconds(self, job: Job) -> float:
        """Return what is left of a cohort: the teachers' passes once, and every student's steps."""
        if job.action != "train":
            return 0.0
        frozen = {cell.teacher for cell in job.cells} - {""}
        teachers = sum(forward_s(job.teachers[key].nets) for key in sorted(frozen))
        steps = schedule_of(job.cells[0]).steps
        left = {cell.key: 1 - self.trained.get(cell.key, 0.0) for cell in job.cells}
        own = sum(left[cell.key] * step_s(cell) for cell in job.cells)
        return steps * (own + max(left.values()) * teachers)

    def _measure(self, job: Job) -> None:
        for cell in job.cells:
            found = {}
            for part in network_metrics(cell, job.metrics):
                protocol = network_protocol(cell, part, {"device": "simulated"})
                found[score_id(part, protocol)] = record(part, protocol, {}, "", 0.0)
            write_json(self.store.network(network_id(cell)), found)


def forward_s(nets: Nets) -> float:
    """Return what a pass of a generator takes: an eighth of a step's constant, and by width."""
    return PER_STEP_S / 8 + PER_WIDTH_S * channels(nets.width)[0] ** 2


def step_s(cell: Cell) -> float:
    """Return what a step takes without a frozen teacher's pass; three passes' part by width."""
    return PER_STEP_S + 3 * PER_WIDTH_S * channels(cell.nets.width)[0] ** 2


def least_s(cells: Iterable[Cell], workers: int) -> float:
    """Return a time that no order can undercut, teachers' passes for students left out.

    That of all steps shared out evenly, or of the longest chain of a cell and those it needs.
    """
    known = {cell.key: cell for cell in cells}
    own = {key: schedule_of(cell).steps * step_s(cell) for key, cell in known.items()}

    def chain(cell: Cell) -> float:
        return own[cell.key] + max((chain(known[key]) for key in cell.needs), default=0.0)

    return max(sum(own.values()) / workers, max(map(chain, known.values())))


@dataclass
class Found:
    """What one call of `distillbench run` came to."""

    trained: int
    makespan_s: float
    idle: float  # share of all workers' time
    jobs: int
    cpu_s: float  # of the walk


def call(plan: Plan, workers: Workers) -> Found:
    """Run a plan as far as one call of `distillbench run` comes."""
    workers.jobs = 0  # where nothing is left to do, they are not opened
    began = time.process_time()
    outcome = walk.run(plan, workers.store, workers, lambda *event: None)
    cpu = time.process_time() - began
    if not workers.jobs:
        return Found(outcome.trained, 0.0, 0.0, 0, cpu)
    idle = 1 - workers.busy_s / (workers.now * workers.count)
    return Found(outcome.trained, workers.now, idle, workers.jobs, cpu - workers.cpu_s)


def planned(suite: Path, cells: int | None) -> Plan:
    """Return the plan of a suite, with as many seeds as give so many cells."""
    metrics = f"metrics={{{', '.join(f'{name}: {{}}' for name in SCORED)}}}"
    sets = [metrics, "snapshots=null"]
    if cells:
        students = len(expand(load(suite, [*sets, "seeds=[0]"]), elsewhere=somewhere).students)
        sets.append(f"seeds={list(range(math.ceil(cells / students)))}")
    return expand(load(suite, sets), elsewhere=somewhere)


def main() -> None:
    """Simulate, and print a line for each call."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--suite", type=Path, default=SUITE)
    asked.add_argument("--workers", type=int, default=1000)
    asked.add_argument("--cells", type=int, help="by seeds; default: the suite's own")
    asked.add_argument("--failures", type=float, default=0.0, help="share of jobs that die")
    asked.add_argument("--disk", action="store_true", help="cells' files on disk, not in memory")
    given = asked.parse_args()
    before = resident_mb()
    plan = planned(given.suite, given.cells)
    least, expanded = least_s(plan.cells.values(), given.workers), resident_mb()
    said = f"{len(plan.cells)} cells, {given.workers} workers, {given.failures:.0%} of jobs die"
    print(f"{said}; the plan is {expanded - before:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder)) if given.disk else Memory(Path(folder))
        workers, total = Workers(store, given.workers, given.failures), 0.0
        while True:
            found = call(plan, workers)
            per_cell = f"{1e6 * found.cpu_s / len(plan.cells):.0f} us per cell"
            if not found.jobs:
                print(f"nothing left to do: walk {found.cpu_s:.2f} s of CPU, {per_cell}")
                break
            total += found.makespan_s
            print(
                f"{found.trained} trained in {found.jobs} jobs of {workers.sent_mb:.0f} MB, "
                f"{found.makespan_s / least:.3f} of the least time, {found.idle:.1%} idle; "
                f"walk {found.cpu_s:.2f} s of CPU, {per_cell}"
            )
        print(f"in all {total / least:.3f} of the least time; peak {resident_mb():.0f} MB")


def resident_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
