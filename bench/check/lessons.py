"""What is asked of a distiller: that it trains, and that its losses are what the contract says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.check.question import Question, Unasked, require
from bench.check.small import small_plan, students, train_teachers, train_together
from bench.contracts.distiller import Inputs, Trace
from bench.contracts.task import Batch, Task
from bench.plan.matrix import Plan
from bench.plugins.registry import Part
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.checkpoint import digest
from bench.train.learner import Learner
from bench.train.loop import open_teacher
from bench.train.player import below

CPU = torch.device("cpu")
PLACES: Mapping[str, Mapping[str, Any]] = {
    "paired": {},
    "unpaired": {"datasets": {"grass2brick": {}}, "architectures": {"resnet9": {}}},
}
ARCHITECTURES = ("unet", "resnet9", "mobile_resnet9", "pix2pixhd")


def questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked on paired and on unpaired data."""
    for task in PLACES:
        yield Question(f"{task}: it trains the student", partial(_trains, part, task))
        yield Question(f"{task}: it repeats bit for bit", partial(_repeats, part, task))
        if part.declared.teachers:
            yield Question(
                f"{task}: a step moves the student, and of teachers only an online one",
                partial(_moves, part, task),
            )
            yield Question(
                f"{task}: every term has a finite gradient that is not zero",
                partial(_has_gradients, part, task),
            )
    for architecture in ARCHITECTURES:
        yield Question(f"it fits {architecture}", partial(_fits, part, architecture))


def _plan(part: Part[Any], task: str, **changes: Any) -> Plan:
    tasks = part.declared.tasks
    if tasks is not None and task not in tasks:
        raise Unasked(f"{part.short} treats {', '.join(tasks)} data.")
    rows = {"checked": {"method": part.name, **part.params}}
    return small_plan(methods=rows, **PLACES[task], **changes)


def _trains(part: Part[Any], task: str) -> None:
    plan = _plan(part, task)
    (cell,) = students(plan)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        train_teachers(plan, store)
        start = below(Learner(cell, CPU, None).networks(), "student0")
        train_together([cell], plan, store)
        state = store.state(cell.key)
        require(state.status == "done", f"the student is {state.status}: {state.detail}")
        tensors, _ = checkpoint.load(store.checkpoint(cell.key))
        after = below(tensors, "student0")
    for direction in cell.task.declared.directions:
        mine = [n for n in after if n.startswith(f"generator.{direction}") and after[n].ndim == 4]
        still = [name for name in mine if torch.equal(start[name], after[name])]
        require(bool(mine) and not still, f"weights that never moved: {', '.join(still)}.")


def _repeats(part: Part[Any], task: str) -> None:
    plan = _plan(part, task)
    (cell,) = students(plan)
    digests = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            train_teachers(plan, store)
            digests.append(train_together([cell], plan, store)[cell.key])
    require(digests[0] == digests[1], "two runs of one cell have different weights.")


def _moves(part: Part[Any], task: str) -> None:
    learner, batches, teach = _lesson_for(part, task)
    batch = batches[0]
    teacher = learner.mentor or learner.teacher
    assert teacher is not None
    before = digest(teacher.networks()), digest(learner.students[0].networks())
    learner.update(0, 1e-3, batch, None if learner.mentor else teach(batch))
    is_still = digest(teacher.networks()) == before[0]
    if learner.mentor is None:
        require(is_still, "a step moved the frozen teacher.")
    else:
        require(not is_still, "a step did not move the online teacher.")
    require(digest(learner.students[0].networks()) != before[1], "no step moves the student.")


def _has_gradients(part: Part[Any], task: str) -> None:
    """At batch size 1, where some published losses are constant."""
    learner, batches, teach = _lesson_for(part, task, budget={"steps": 4, "batch": 1})
    trace = learner.students[0].forward(batches[0], learner.hints)
    taught = teach(batches[0])
    for direction, _, distiller in learner.distillers[0]:
        terms = distiller.terms(trace[direction], taught[direction])
        require(bool(terms), "it returns no term.")
        moved = list(learner.students[0].generators[direction].parameters())
        for term, value in terms.items():
            require(value.ndim == 0, f"{term}: a loss is one number, not {tuple(value.shape)}.")
            grads = torch.autograd.grad(value, moved, retain_graph=True, allow_unused=True)
            found = torch.cat([g.flatten() for g in grads if g is not None] or [torch.zeros(1)])
            require(bool(torch.isfinite(found).all()), f"{term}: its gradient is not finite.")
            require(found.abs().max().item() > 0, f"{term}: its gradient is zero.")


def _fits(part: Part[Any], architecture: str) -> None:
    row = {"checked": {"method": part.name, **part.params}}
    nets = {"architectures": {architecture: {}}, "task": {"lambda_vgg": 0.0}}
    plan = small_plan(methods=row, **nets)
    check(plan.cells.values(), plan.cells, lambda text: None)


Lesson = tuple[Learner, Batches, Callable[[Batch], Mapping[str, Trace]]]


def _lesson_for(part: Part[Any], task: str, **changes: Any) -> Lesson:
    with tempfile.TemporaryDirectory() as folder:
        return lesson(_plan(part, task, **changes), Path(folder))


def lesson(plan: Plan, folder: Path, device: str = "cpu") -> Lesson:
    """Return a prepared learner, its batches, and what its teacher makes of a batch."""
    store, place = Store(folder / "runs"), torch.device(device)
    train_teachers(plan, store, device)
    (cell,) = students(plan)
    frozen = open_teacher(plan.cells[cell.teacher], store, place) if cell.teacher else None
    learner = Learner(cell, place, frozen)
    batches = Batches(cell, learner.task)
    batch = {domain: images.to(place) for domain, images in batches[0].items()}
    task = learner.task
    learner.prepare({d: partial(_once, task, d, batch) for d in task.directions})
    teacher = frozen or learner.mentor

    def teach(batch: Batch) -> Mapping[str, Trace]:
        assert teacher is not None
        with torch.no_grad():
            return teacher.forward(batch, learner.hints)

    return learner, batches, teach


def _once(task: Task, direction: str, batch: Batch) -> Iterator[Inputs]:
    yield task.inputs(direction, batch)
