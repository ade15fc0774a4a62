"""Walks the plan: teachers first, each cell once, one that fails stops no other."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.errors import DistillbenchError, Interrupted, WeightsError
from bench.fetch.missing import missing_weights
from bench.plan.cell import Cell
from bench.plan.matrix import Plan
from bench.plan.scores import (
    fits,
    image_scores,
    network_id,
    network_metrics,
    reference_id,
    references,
    snapshot_scores,
)
from bench.run.executors import Executor
from bench.run.job import Emit, Job
from bench.run.machine import Computer
from bench.run.ready import Ready
from bench.store import provenance
from bench.store.layout import Store, read_json


@dataclass
class Outcome:
    """What a run did."""

    trained: int = 0
    cached: int = 0
    errors: list[str] = field(default_factory=list)


def is_scored(cell: Cell, plan: Plan, store: Store) -> bool:
    """Say whether a trained cell has every score of images that the suite asks for."""
    scores = store.scores(cell.key)
    wanted = [*image_scores(cell, plan.metrics), *snapshot_scores(cell, plan.watched)]
    found = [scores.get(score.id) for score in wanted]
    has_lost = any(score and score.get("errors") for score in found)
    if None in found or (has_lost and not store.images(cell.key).exists()):
        return False
    beside = {score.id for score in references(cell, plan.metrics)}
    return not beside or beside <= read_json(store.reference(reference_id(cell))).keys()


def is_finished(cell: Cell, plan: Plan, store: Store) -> bool:
    """Say whether there is nothing left to do for a cell."""
    status = store.state(cell.key).status
    return status == "diverged" or (status == "done" and is_scored(cell, plan, store))


def run(
    plan: Plan,
    store: Store,
    machine: Computer,
    listen: Emit,
    *,
    measure: bool = False,
    allow_missing: bool = False,
) -> Outcome:
    """Train and score every cell that is not done.

    Args:
        plan: what to run.
        store: where it lies; what is there already is not done again.
        machine: where to compute, as a `bench.run.machine.Machine`.
        listen: told of every event.
        measure: measure latency on this machine even where there is a measurement.
        allow_missing: go on without the metrics whose pretrained weights are missing.

    Raises:
        WeightsError: such weights are missing.
        Interrupted: SIGINT or SIGTERM; the same call goes on from here.
        DistillbenchError: something is wrong that no training should start with.
    """
    plan = _scorable(plan, store, listen, allow_missing)
    return _Run(plan, store, machine, listen).go(measure)


def try_settings(
    plan: Plan, store: Store, machine: Computer, listen: Emit, *, allow_missing: bool = False
) -> Outcome:
    """Train the trials of a plan that are not done, and score them on the validation split.

    Before that, all else of the plan is looked through for what would stop it. What the trials
    choose is known when the suite is expanded again.

    Args and errors are those of `run`; what judges the trials is never gone without.
    """
    assert plan.trials is not None
    _scorable(plan, store, listen, allow_missing)
    _scorable(plan.trials, store, listen, allow_missing=False)
    return _Run(plan.trials, store, machine, listen, later=plan).go(measure=False)


def _scorable(plan: Plan, store: Store, listen: Emit, allow_missing: bool) -> Plan:
    """Return a plan without the metrics whose weights are missing, if that is allowed."""
    asked = (*plan.metrics, *plan.watched)
    missing = {part.name: why for part in asked if (why := missing_weights(part))}
    cells = plan.cells.values()
    if not missing or (not plan.open and all(is_finished(cell, plan, store) for cell in cells)):
        return plan
    if not allow_missing:
        raise WeightsError(
            ".\n".join(missing.values())
            + ".\nOr go on without: --allow-missing; the table then says what it lacks."
        )
    for why in missing.values():
        listen("note", "", {"text": f"not scored: {why}"})
    metrics, watched = (
        tuple(p for p in parts if p.name not in missing) for parts in (plan.metrics, plan.watched)
    )
    return replace(plan, metrics=metrics, watched=watched)


class _Run:
    """One walk over the DAG."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        machine: Computer,
        listen: Emit,
        later: Plan | None = None,  # of another walk, looked through with this one
    ) -> None:
        self.plan, self.store, self.machine, self.listen = plan, store, machine, listen
        self.later = [*later.cells.values(), *later.open] if later else []
        self.known = {cell.key: cell for cell in (*self.later, *plan.cells.values())}
        self.outcome = Outcome()
        self.order = plan.order()
        self.order.prepare()
        self.ready = Ready(Counter(key for cell in plan.cells.values() for key in cell.needs))
        self.todo = set[str]()  # keys of cells that were not finished when the walk began
        self.waiting = 0  # how many of them are not taken up yet
        self.workers = 1
        self.interrupted = False
        self.provenance = ""

    def go(self, measure: bool) -> Outcome:
        cells = self.plan.cells.values()
        todo = [cell for cell in cells if not is_finished(cell, self.plan, self.store)]
        self.todo, self.waiting = {cell.key for cell in todo}, len(todo)
        untrained = [cell for cell in todo if self.store.state(cell.key).status != "done"]
        networks = self._unmeasured(measure)
        self.outcome.cached = len(cells) - len(todo)
        if not todo and not networks:
            return self.outcome
        self.provenance = self.store.add_provenance(provenance.collect())
        executor = self.machine.open(self._hear, len(todo))
        self.workers = max(1, executor.idle())
        with contextlib.closing(executor), self._signals(executor):
            # to be scored only: what was given may be gone once it was taken up
            scored = [cell for cell in todo if self.machine.is_elsewhere and not cell.given]
            if checked := {cell.key: cell for cell in (*untrained, *scored)}:
                self.listen("phase", "", {"phase": "start-up: checking"})
                self._alone(executor, self._job("check", [*checked.values(), *self.later]))
                if self.outcome.errors:
                    raise DistillbenchError("\n".join(self.outcome.errors))
            self.listen("phase", "", {"phase": "start-up: workers"})
            self._walk(executor)
            if networks:
                self.listen("phase", "", {"phase": "measuring"})
                self._alone(executor, self._job("measure", networks, again=measure))
        if self.interrupted:
            raise Interrupted("interrupted; the same command goes on from here.")
        return self.outcome

    def _alone(self, executor: Executor, job: Job) -> None:
        """Do one job while nothing else is at work."""
        if not self.interrupted:
            executor.submit(job)
            while not executor.wait():
                pass

    def _walk(self, executor: Executor) -> None:
        running = 0
        while not self.interrupted:
            self._admit()
            if idle := executor.idle():
                for group in self.ready.take(idle, max(idle, self._share())):
                    executor.submit(self._job("train", group))
                    running += 1
            if not running:
                return
            for job in executor.wait():
                self.order.done(*(cell.key for cell in job.cells))
                running -= 1
        while running:  # they are writing their checkpoints
            running -= len(executor.wait())

    def _share(self) -> int:
        """Return for how many workers the cells that are ready should be work, beside the rest.

        The whole of a large cohort would keep one worker busy when all others have ended.
        """
        ready = len(self.ready)
        return math.ceil(self.workers * ready / (ready + self.waiting)) if ready else 0

    def _admit(self) -> None:
        """Take up the cells that have what they need; pass over those with nothing left to do."""
        while keys := self.order.get_ready():
            self.waiting -= len(self.todo.intersection(keys))
            for key in keys:
                if key in self.todo and self._can_begin(self.plan.cells[key]):
                    self.ready.add(self.plan.cells[key])
                else:
                    self.order.done(key)

    def _can_begin(self, cell: Cell) -> bool:
        """Say whether a cell has what it needs and was not done meanwhile by another process."""
        has_all = all(self.store.state(above).status == "done" for above in cell.needs)
        return has_all and not is_finished(cell, self.plan, self.store)

    def _job(
        self, action: Literal["check", "train", "measure"], cells: list[Cell], again: bool = False
    ) -> Job:
        return Job(
            action,
            tuple(cells),
            {c.teacher: self.known[c.teacher] for c in cells if c.teacher},
            self.plan.metrics,
            self.plan.watched,
            self.store.root,
            self.machine.device,
            self.machine.threads,
            self.machine.checkpoint_s,
            self.provenance,
            again,
        )

    def _unmeasured(self, again: bool) -> list[Cell]:
        """Return one cell per network, at its numerics, that lacks a score of its own."""
        networks: dict[tuple[str, str], Cell] = {}
        for cell in self.plan.cells.values():
            if network_metrics(cell, self.plan.metrics):
                networks.setdefault((network_id(cell), str(cell.numerics)), cell)
        return [cell for cell in networks.values() if again or self._lacks_costs(cell)]

    def _lacks_costs(self, cell: Cell) -> bool:
        scores = read_json(self.store.network(network_id(cell))).values()
        metrics = network_metrics(cell, self.plan.metrics)
        return not all(any(fits(score, cell, part) for score in scores) for part in metrics)

    def _hear(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        """Keep account of what an executor emits, and pass it on."""
        if event == "interrupted":
            self.interrupted = True
        elif event == "error":
            where = f"cell {key}: " if key else ""
            self.outcome.errors.append(f"{where}{data['reason']}")
        elif event == "ended":
            self.outcome.trained += data["status"] == "done" and "given" not in data
        elif event == "died":
            if data["job"].action != "train":
                self.outcome.errors.append(f"{data['job'].action}: {data['reason']}")
                return
            for cell in data["job"].cells:
                status = self.store.state(cell.key).status
                if status == "done" and not is_scored(cell, self.plan, self.store):
                    self._hear("error", cell.key, {"reason": f"not scored: {data['reason']}"})
                if status in ("started", "missing"):
                    self.store.fail(cell.key, data["reason"])
                    self.listen("ended", cell.key, {"status": "failed", "reason": data["reason"]})
            return
        self.listen(event, key, data)

    @contextlib.contextmanager
    def _signals(self, executor: Executor) -> Iterator[None]:
        """Stop gracefully at the first SIGINT or SIGTERM, at once at the second."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: Any) -> None:
            executor.stop()
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            self.listen("note", "", {"text": "stopping: writing checkpoints (again to quit now)"})

        before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
