"""What one worker does with one job: check a plan, train a cohort and score it, or measure."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch

from bench.errors import Busy, Damaged, DistillbenchError, Interrupted, StoreError
from bench.evaluate.costs import measure
from bench.evaluate.feed import evaluate
from bench.evaluate.from_noise import check_room
from bench.evaluate.references import score_references
from bench.evaluate.validation import validate
from bench.plan.cell import Cell
from bench.plan.scores import needs_no_outputs
from bench.run.job import Emit, Job
from bench.run.preflight import check
from bench.run.receive import receive
from bench.store.layout import Store
from bench.train.device import configure
from bench.train.loop import Cohort, train


def work(job: Job, emit: Emit, stop: Callable[[], bool]) -> None:
    """Do a job; every outcome lies in the store before it is emitted.

    Raises:
        Interrupted: `stop` said so; the same job goes on where this one stopped.
        DistillbenchError: what to check is wrong, or the store cannot be written.
    """
    store, device = Store(job.store), torch.device(job.device)
    flags = configure(job.device, job.threads, job.cells[0].numerics)
    if job.action == "check":
        for part in (*job.metrics, *job.watched):
            part.load()(part.params)  # which refuses parameters that it cannot work with
        check(job.cells, job.teachers, lambda text: emit("note", "", {"text": text}))
        check_room(job.cells, store, _watches_samples(job))
    elif job.action == "measure":
        for cell in job.cells:
            failures = measure(cell, store, job.metrics, device, flags, stop, job.again)
            for metric, failure in failures.items():
                reason = f"{metric} failed: {failure.strip().splitlines()[-1]}"
                emit("error", cell.key, {"reason": reason})
    else:
        _train(job, store, device, flags, emit, stop)


def _train(
    job: Job,
    store: Store,
    device: torch.device,
    flags: Mapping[str, Any],
    emit: Emit,
    stop: Callable[[], bool],
) -> None:
    """Train and score a cohort, holding its cells."""
    with contextlib.ExitStack() as locks:
        for cell in sorted(job.cells, key=lambda c: c.key):
            _take_turn(store, cell.key, locks, emit, stop)
        open_ = [c for c in job.cells if store.state(c.key).status not in ("done", "diverged")]
        environment = {"environment": flags, "provenance": job.provenance}
        for cell in (cell for cell in open_ if cell.given):
            try:
                receive(cell, store, environment, emit)
            except StoreError:
                raise
            except DistillbenchError as error:
                _fail(store, [cell], str(error), emit)
        todo = [cell for cell in open_ if not cell.given]
        for cell in todo:
            emit("phase", cell.key, {"phase": "training"})
        if todo:
            cohort = Cohort(
                cells=todo,
                teachers=job.teachers,
                store=store,
                device=device,
                environment=environment,
                emit=emit,
                stop=stop,
                validate=validate,
                checkpoint_s=job.checkpoint_s,
            )
            try:
                train(cohort)
            except Interrupted:
                raise
            except DistillbenchError as error:
                _fail(store, todo, str(error), emit)
        for cell in job.cells:
            if store.state(cell.key).status == "done":
                _score(cell, job, store, device, emit, stop)


def _score(
    cell: Cell,
    job: Job,
    store: Store,
    device: torch.device,
    emit: Emit,
    stop: Callable[[], bool],
) -> None:
    """Score a trained cell, whose weights on disk may have been damaged since."""
    emit("phase", cell.key, {"phase": "scoring"})
    check_room([cell], store, _watches_samples(job))
    try:
        failures = evaluate(
            cell,
            store,
            job.metrics,
            device,
            job.watched,
            lambda text: emit("note", "", {"text": text}),
            stop,
        )
        failures |= score_references(cell, store, job.metrics, device)
    except Damaged as error:
        emit("ended", cell.key, {"status": "failed", "reason": str(error)})
        return
    except (Interrupted, StoreError):
        raise
    except Exception as error:  # whatever a task does to make its outputs; others are still scored
        store.log(cell.key, traceback.format_exc())
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        emit("error", cell.key, {"reason": f"it was trained, but not scored: {said}"})
        return
    for metric, failure in failures.items():
        store.log(cell.key, failure)
        reason = f"{metric} failed: {failure.strip().splitlines()[-1]}"
        emit("error", cell.key, {"reason": reason})
    emit("scored", cell.key, {})


def _watches_samples(job: Job) -> bool:
    """Say whether snapshots are scored by what they make."""
    return not all(needs_no_outputs(metric) for metric in job.watched)


def _take_turn(
    store: Store, key: str, locks: contextlib.ExitStack, emit: Emit, stop: Callable[[], bool]
) -> None:
    """Hold a cell as soon as nobody else does; a killed process holds nothing."""
    waiting = False
    while not stop():
        try:
            locks.enter_context(store.lock(key, timeout_s=0.5))
        except Busy:
            if not waiting:
                emit("waiting", key, {})
            waiting = True
        else:
            return
    raise Interrupted("stopped before it began.")


def _fail(store: Store, cells: list[Cell], reason: str, emit: Emit) -> None:
    """Record one reason for all cells of a cohort that have not ended."""
    for cell in cells:
        if store.state(cell.key).status in ("missing", "started"):
            try:
                store.fail(cell.key, reason)
            except DistillbenchError:  # the disk may be full
                emit("error", cell.key, {"reason": reason})
            emit("ended", cell.key, {"status": "failed", "reason": reason})
