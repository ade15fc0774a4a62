"""The training loop, over a cohort: cells that see the same batches advance in lockstep.

Each batch is loaded once, and each frozen teacher runs once per batch for all that learn from it.
A cell ends with the same bits as it would alone: nothing of one member touches another's.

Nothing in a step waits for the device. Losses stay there until a window of steps is read at once;
a loss that is not finite ends its cell there and then, as `diverged` at the exact step.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.contracts.distiller import Trace
from bench.contracts.task import Batch
from bench.errors import Damaged, Interrupted, StoreError
from bench.plan.cell import Cell
from bench.plan.learning_rate import schedule_of
from bench.store.layout import Store
from bench.train import checkpoint, resume
from bench.train.batches import Batches, stream
from bench.train.checkpoint import digest
from bench.train.codes import Codec
from bench.train.device import nondeterminism
from bench.train.items import items
from bench.train.learner import Learner, open_task
from bench.train.player import Player, below
from bench.train.prepared import Prepared
from bench.train.resume import Left
from bench.train.trained import open_networks

DIGEST_STEP = 100  # `verify` repeats this many steps and compares bits
PULLS = 3  # times in a run that the methods' gradients are measured, at even distances
CHECKPOINT_SHARE = 0.02  # of the time at most goes into checkpoints


@dataclass(frozen=True)
class Cohort:
    """Cells to train together, and what surrounds them."""

    cells: Sequence[Cell]  # with equal `batches`
    teachers: Mapping[str, Cell]  # key -> cell of every frozen teacher
    store: Store
    device: torch.device
    environment: Mapping[str, Any]  # flags as read back, id of the provenance
    emit: Callable[[str, str, Mapping[str, Any]], None]  # (event, key of the cell, data)
    stop: Callable[[], bool]  # whether to stop after this step
    validate: Callable[[Learner], float] | None = None  # higher is better
    checkpoint_s: float = 30.0  # at least this long between two checkpoints
    until: int | None = None  # stop here with a digest and no result, for `verify`

    def note(self, text: str) -> None:
        """Tell a person something about a file."""
        self.emit("note", "", {"text": text})


class Diverged(Exception):  # noqa: N818 - an outcome, not an error
    """A loss was not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"a loss was not finite at step {step}")
        self.step = step


def train(cohort: Cohort) -> dict[str, str]:
    """Train all cells of a cohort to their end; return the digest of each, by key.

    Every cell ends as done, failed or diverged in the store; one that fails leaves the others
    running. The caller holds the cells' locks.

    Raises:
        Interrupted: `stop` said so; every cell can be resumed.
        StoreError: the store cannot be written; the last checkpoints are as they were.
        DataError: an image cannot be read; every cell can be resumed.
    """
    found: set[str] = set()  # operators that were not deterministic
    with nondeterminism(found):
        # construct: what is shared, then the members where their last checkpoints left them
        stages = _stages(cohort)
        teachers = {
            key: open_teacher(cell, cohort.store, cohort.device, cohort.note)
            for key, cell in sorted(cohort.teachers.items())
        }
        members: list[Member] = []
        for cell in cohort.cells:
            with _outcome(cohort, cell, members):
                members.append(Member(cohort, cell, teachers.get(cell.teacher), stages[0], found))
        # train: a member that is ahead of the others waits until they are where it is
        start = min((m.step for m in members), default=0)
        end = max((m.end for m in members), default=0)
        saver = _Saver(cohort.checkpoint_s)
        clock = time.perf_counter()
        starts = schedule_of(cohort.cells[0]).starts
        for step, batch in _batches(stages, starts, start, end, cohort.device):
            active = [m for m in members if m.step == step]
            traces = _teach(teachers, active, batch)
            for member in active:
                with _outcome(cohort, member.cell, members):
                    member.advance(batch, traces.get(member.cell.teacher))
            clock, elapsed = time.perf_counter(), time.perf_counter() - clock
            for member in active:
                member.seconds += elapsed / len(active)
            saver.save_in_time(members)
            if cohort.stop():
                saver.save(members)
                raise Interrupted("stopped; the same command goes on from here.")
            if not members:
                break
        # finish: the networks are the result
        for member in list(members):
            with _outcome(cohort, member.cell, members):
                member.finish()
    return {m.cell.key: m.digest for m in members}


class Member:
    """A cell of the cohort, and how far it is."""

    def __init__(
        self,
        cohort: Cohort,
        cell: Cell,
        teacher: Player | None,
        batches: Batches,
        nondeterministic: set[str],
    ) -> None:
        self.cohort, self.store, self.cell, self.key = cohort, cohort.store, cell, cell.key
        self.nondeterministic = nondeterministic
        self.schedule = schedule_of(cell)
        self.end = min(self.schedule.steps, cohort.until or self.schedule.steps)
        self.width = max(10, math.ceil(self.schedule.steps / 400))  # of a window, in steps
        select = cell.select
        self.validations = self.schedule.evenly(select["times"]) if select else []
        self.snapshots = self.schedule.evenly(cell.snapshots) if cell.snapshots else []
        self.step = 0  # taken so far
        self.seconds = 0.0  # of training so far: its share of the cohort's time
        self.losses: list[dict[str, Tensor]] = []  # of the steps since the last window
        # a compiled graph allows one pass back only; fp16 has its gradients scaled
        is_plain = not cell.numerics["compile"] and cell.numerics["precision"] != "fp16"
        self.pulled = self.schedule.evenly(PULLS) if is_plain else []
        self.pulls: list[dict[str, Any]] = []  # how strongly methods pulled, at these steps
        self.digest = ""
        self.best = -math.inf
        self.best_networks: dict[str, Tensor] = {}
        learns: dict[str, Any] = {"codes": batches.codes} if batches.codes else {}
        if teacher:
            weights = self.store.read(cell.teacher, "end.json").get("weights", "")
            learns["taught_by"] = {cell.teacher: weights}
        known = self.store.read(self.key, "spec.json")
        if any(known.get(name, now) != now for name, now in learns.items()):
            self.store.resume(self.key).unlink(missing_ok=True)  # it was learning others
        self.store.write(self.key, "spec.json", cell.spec(cohort.environment) | learns)
        self.environments = [cohort.environment["environment"]]  # all that it trained under
        self.learner = Learner(cell, cohort.device, teacher)
        self.inputs = {
            direction: functools.partial(batches.inputs, direction, cohort.device)
            for direction in self.learner.task.directions
        }
        if not self._restored():
            flags = cohort.environment["environment"]
            prepared = Prepared(cell, self.store, cohort.device, batches.content, flags)
            self.learner.prepare(self.inputs, prepared)
        self.store.rewind_losses(self.key, self.step)
        (self.store.folder(self.key) / "end.json").unlink(missing_ok=True)

    def advance(self, batch: Batch, taught: Mapping[str, Trace] | None) -> None:
        """Take one step.

        Raises:
            Diverged: a loss of this window was not finite.
        """
        lr = self.schedule.lr(self.step)
        pulls: dict[str, float | None] = {}
        is_pulled = self.step + 1 in self.pulled
        losses = self.learner.update(self.step, lr, batch, taught, pulls if is_pulled else None)
        self.losses.append(losses)
        self.step += 1
        if pulls:
            self.pulls.append({"step": self.step, "pulls": pulls})
        if self.step == min(DIGEST_STEP, self.end):
            self.digest = digest(self.learner.networks())
        if self.step % self.width == 0 or self.step == self.end:
            self._read_losses()
        if self.cohort.validate and self.step in self.validations:
            self._validate(self.cohort.validate)
        if self.step in self.snapshots:
            self._keep_generators()
        if self.step in self.schedule.starts and self.step < self.end:
            self.learner.enter(self.schedule.stage(self.step))

    def save(self) -> None:
        """Write everything that the next step depends on."""
        tensors = self.learner.state() | {f"best.{n}": x for n, x in self.best_networks.items()}
        left = Left(
            self.step,
            self.seconds,
            _read(self.losses),
            self.digest,
            self.best,
            self.environments,
            self.pulls,
        )
        resume.save(self.store.resume(self.key), self.key, tensors, left)

    def finish(self) -> None:
        """Write the result; from here on the cell is done."""
        if self.step < self.schedule.steps:
            return
        if self.validations and self.cohort.validate and not self.best_networks:
            raise ValueError("no score on the validation split was finite")
        networks = self.best_networks or self.learner.networks()
        checkpoint.save(self.store.checkpoint(self.key), networks, {"key": self.key})
        for index, student in enumerate(self.learner.students if self.best_networks else ()):
            student.load_networks(below(networks, f"student{index}"))
        facts = self.learner.facts(self.inputs, self._items)
        found: dict[str, Any] = {"facts": facts} if facts else {}
        found |= {"pulls": self.pulls} if self.pulls else {}
        self._end({"status": "done", "weights": digest(networks), **found})

    def _items(self, direction: str) -> Iterator[Batch]:
        """Yield what test outputs are made from, one by one: what nobody asks for is not read."""
        split = self.cell.scored_on or "test"  # what is tried on val learns nothing of test images
        return items(self.cell, self.learner.task, direction, split, 1, self.cohort.device)

    def diverge(self, step: int) -> None:
        """Record that the cell ended at a loss that was not finite."""
        self._end({"status": "diverged", "step": step})

    def _end(self, how: Mapping[str, Any]) -> None:
        record = {
            **how,
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "digest_step": min(DIGEST_STEP, self.end),
            "digest": self.digest,
            "nondeterministic": sorted(self.nondeterministic),
            "finished_at": time.time(),
            **self.cohort.environment,
        }
        if len(self.environments) > 1:  # then its bits are those of no single one
            record["environments"] = self.environments
        self.store.write(self.key, "end.json", record)
        self.store.resume(self.key).unlink(missing_ok=True)
        self.cohort.emit("ended", self.key, record)

    def _restored(self) -> bool:
        """Go on from where the cell was left; a damaged file means from the start."""
        path = self.store.resume(self.key)
        if not path.exists():
            return False
        try:
            tensors, left = resume.load(path, self.key, self.cohort.note)
            self.learner.begin(self.schedule.stage(left.step))
            self.learner.load(tensors)
        except (Damaged, RuntimeError, KeyError, ValueError) as error:  # torch's, if shapes differ
            text = f"starts again: {path}: {error}".replace(f"{path}: {path}", str(path))
            self.cohort.emit("note", self.key, {"text": text.partition("\n")[0]})
            self.learner = Learner(self.cell, self.cohort.device, self.learner.teacher)
            return False
        self.best_networks = below(tensors, "best")
        self.step, self.seconds, self.digest = left.step, left.seconds, left.digest
        self.best, self.pulls = left.best, left.pulls
        device = self.cohort.device
        self.losses = [
            {n: torch.tensor(x, device=device) for n, x in row.items()} for row in left.losses
        ]
        before = [e for e in left.environments if e not in self.environments]
        self.environments = [*before, *self.environments]
        return True

    def _read_losses(self) -> None:
        """Fetch the window's losses from the device at once, log their means, look for NaN."""
        rows, self.losses = _read(self.losses), []
        first = self.step - len(rows) + 1
        for step, row in enumerate(rows, first):
            if not all(math.isfinite(value) for value in row.values()):
                raise Diverged(step)
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row[name] for row in rows if name in row] for name in names}
        means = {name: math.fsum(values) / len(values) for name, values in columns.items()}
        record = {"step": self.step, "seconds": self.seconds, "time": time.time(), "losses": means}
        self.store.log_losses(self.key, record)
        self.cohort.emit("progress", self.key, record | {"steps": self.schedule.steps})

    def _keep_generators(self) -> None:
        networks = self.learner.networks()
        made = {n: x for n, x in networks.items() if n.split(".")[1] == "generator"}
        checkpoint.save(self.store.snapshot(self.key, self.step), made, {"key": self.key})

    def _validate(self, validate: Callable[[Learner], float]) -> None:
        score = validate(self.learner)
        if score > self.best:
            self.best = score
            self.best_networks = {n: x.clone() for n, x in self.learner.networks().items()}


class _Saver:
    """Writes checkpoints in time, but spends little of the time on them."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.at, self.took_s = time.monotonic(), 0.0

    def save_in_time(self, members: Iterable[Member]) -> None:
        if time.monotonic() - self.at > max(self.every_s, self.took_s / CHECKPOINT_SHARE):
            self.save(members)

    def save(self, members: Iterable[Member]) -> None:
        started = time.monotonic()
        for member in members:
            member.save()
        self.at = time.monotonic()
        self.took_s = self.at - started


@contextlib.contextmanager
def _outcome(cohort: Cohort, cell: Cell, members: list[Member]) -> Iterator[None]:
    """Let a cell that fails or diverges leave the cohort, and the others go on."""
    try:
        yield
    except (Interrupted, StoreError):
        raise  # not this cell's fault; all can be resumed
    except Diverged as outcome:
        for member in [m for m in members if m.key == cell.key]:
            member.diverge(outcome.step)
            members.remove(member)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        cohort.store.log(cell.key, traceback.format_exc())
        cohort.store.fail(cell.key, reason)
        cohort.emit("ended", cell.key, {"status": "failed", "reason": reason})
        members[:] = [m for m in members if m.key != cell.key]


def open_teacher(
    cell: Cell, store: Store, device: torch.device, say: Callable[[str], None] = lambda text: None
) -> Player:
    """Return a trained cell's student as a frozen teacher.

    Raises:
        Damaged: its checkpoint is missing or damaged.
    """
    teacher = Player(cell, cell.nets, open_task(cell), device)
    teacher.load_networks(below(open_networks(store, cell.key, say=say), "student0"))
    teacher.freeze()
    teacher.place()
    return teacher


@torch.no_grad()
def _teach(
    teachers: Mapping[str, Player], active: Sequence[Member], batch: Batch
) -> dict[str, dict[str, Trace]]:
    """Run each teacher that is needed once, for the union of the hints its students read."""
    found = {}
    for key, teacher in teachers.items():
        taught = [m.learner for m in active if m.cell.teacher == key]
        if taught:
            hints = dict.fromkeys(role for learner in taught for role in learner.hints)
            found[key] = teacher.forward(batch, tuple(hints), taught[0].stage)
    return found


def _read(losses: Sequence[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """Return loss terms as numbers, with one transfer from the device."""
    if not losses:
        return []
    values = iter(torch.stack([x for row in losses for x in row.values()]).tolist())
    return [{name: next(values) for name in row} for row in losses]


def _stages(cohort: Cohort) -> list[Batches]:
    """Return the batches of each stage."""
    cell, encode = cohort.cells[0], None
    if cell.latents:
        encode = Codec(cell, cohort.store, cohort.device, cohort.note).codes()
    return [Batches(cell, open_task(cell), stage, encode) for stage in range(len(cell.budgets))]


def _batches(
    stages: Sequence[Batches], starts: Sequence[int], first: int, end: int, device: torch.device
) -> Iterator[tuple[int, Batch]]:
    """Yield each step from `first` up to `end`, and its batch, stage after stage."""
    for batches, start, stop in zip(stages, starts, [*starts[1:], end], strict=True):
        begin, stop = max(first, start), min(stop, end)
        if begin < stop:
            yield from enumerate(stream(batches, begin - start, stop - start, device), begin)
