"""How many steps a budget is, who moves at each, and how fast: up, constant, linearly to zero."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from bench.plan.cell import Cell
from bench.plan.suite import Alternation, Budget


def schedule_of(cell: Cell) -> Schedule:
    """Return a cell's schedule: stage after stage, each with a budget of its own."""
    return Schedule(cell.budgets, cell.images_per_epoch, cell.alternation)


def epochs_of(cell: Cell) -> float:
    """Return how often a cell's students learn from the larger domain of its training split."""
    stages = schedule_of(cell).stages
    if len(stages) == 1 and cell.budget.epochs:
        return stages[0].of_students
    images = sum(stage.steps_of(stage.of_students) * stage.budget.batch for stage in stages)
    return images / cell.images_per_epoch


@dataclass(frozen=True)
class StageSchedule:
    """One budget over a training split of `images` images; its steps count from 0.

    Without an alternation all move at every step. With one, turns are whole steps or epochs of the
    budget, which is the teacher's; each of its turns is followed by one of the students.
    """

    budget: Budget
    images: int
    alternation: Alternation | None = None

    @cached_property
    def of_teacher(self) -> int:
        """Return in how many of the budget's steps or epochs an online teacher moves: in all."""
        return self.budget.steps or self.budget.epochs or 0

    @cached_property
    def of_students(self) -> int:
        """Return in how many steps or epochs, as the budget has it, students move."""
        if self.alternation is None:
            return self.of_teacher
        return math.ceil(self.of_teacher / self.alternation.teacher) * self.alternation.students

    @cached_property
    def steps(self) -> int:
        """Return the number of steps, whoever moves."""
        return self.steps_of(self.of_teacher + (self.of_students if self.alternation else 0))

    def steps_of(self, length: int) -> int:
        """Return how many steps some of the budget's steps or epochs are."""
        if self.budget.steps is not None:
            return length
        return math.ceil(length * self.images / self.budget.batch)

    def movers(self, step: int) -> tuple[str, ...]:
        """Return who moves at a step: `students`, `teacher` or both."""
        return self._place(step)[1]

    def lr(self, step: int) -> float:
        """Return the learning rate of a step; in a turn of the students the teacher's last one.

        The original code's rule, `1 - max(0, epoch + 1 - constant) / (decay + 1)` with epochs
        counted from 0; where the budget is in steps, the same in steps. With `to_zero` that of the
        next epoch: newer forms of that code, WKD's among them, set it when an epoch begins. In the
        first `warmup` steps it is that times (step + 1) / warmup, as latent diffusion has it.
        """
        budget = self.budget
        now, _ = self._place(step)
        falling = round(budget.decay * self.of_teacher)
        constant = self.of_teacher - falling - budget.to_zero
        lr = budget.lr * (1 - max(0, now + 1 - constant) / (falling + 1))
        return lr * (step + 1) / budget.warmup if step < budget.warmup else lr

    def _place(self, step: int) -> tuple[int, tuple[str, ...]]:
        """Return the budget's step or epoch that a step belongs to, and who moves in it."""
        now = step if self.budget.steps else step * self.budget.batch // self.images
        if self.alternation is None:
            return now, ("students", "teacher")
        turn = self.alternation.teacher
        turns, place = divmod(now, turn + self.alternation.students)
        first = turns * turn
        length = min(turn, self.of_teacher - first)
        if place < length:
            return first + place, ("teacher",)
        return first + length - 1, ("students",)


@dataclass(frozen=True)
class Schedule:
    """Budgets one after the other; steps are counted from the start of the first."""

    budgets: tuple[Budget, ...]
    images: int
    alternation: Alternation | None = None

    @cached_property
    def stages(self) -> tuple[StageSchedule, ...]:
        """Return the schedule of each stage."""
        return tuple(StageSchedule(b, self.images, self.alternation) for b in self.budgets)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Return the first step of each stage."""
        counts = range(len(self.stages))
        return tuple(sum(stage.steps for stage in self.stages[:n]) for n in counts)

    @cached_property
    def steps(self) -> int:
        """Return the number of optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def evenly(self, times: int) -> list[int]:
        """Return `times` steps at even distances, the last of them the end."""
        steps = {math.ceil(self.steps * i / times) for i in range(1, times + 1)}
        return sorted(steps)

    def stage(self, step: int) -> int:
        """Return which stage takes a step, from 0; the last one beyond the end."""
        return bisect_right(self.starts, step) - 1

    def movers(self, step: int) -> tuple[str, ...]:
        """Return who moves at a step: `students`, `teacher` (one that trains along) or both."""
        stage = self.stage(step)
        return self.stages[stage].movers(step - self.starts[stage])

    def lr(self, step: int) -> float:
        """Return the learning rate of a step."""
        stage = self.stage(step)
        return self.stages[stage].lr(step - self.starts[stage])
