"""How many steps a budget is, and the learning rate at each: constant, then linear to zero."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from bench.plan.cell import Cell
from bench.plan.suite import Budget


def schedule_of(cell: Cell) -> Schedule:
    """Return a cell's schedule: stage after stage, each with a budget of its own."""
    return Schedule(cell.budgets, cell.images_per_epoch)


def epochs_of(cell: Cell) -> float:
    """Return how often a cell sees the larger domain of its training split."""
    if len(cell.budgets) == 1 and cell.budget.epochs:
        return cell.budget.epochs
    stages = schedule_of(cell).stages
    images = sum(stage.steps * stage.budget.batch for stage in stages)
    return images / cell.images_per_epoch


@dataclass(frozen=True)
class StageSchedule:
    """One budget over a training split of `images` images; its steps count from 0."""

    budget: Budget
    images: int

    @cached_property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        if self.budget.steps is not None:
            return self.budget.steps
        return math.ceil((self.budget.epochs or 0) * self.images / self.budget.batch)

    def lr(self, step: int) -> float:
        """Return the learning rate of a step.

        The original code's rule, `1 - max(0, epoch + 1 - constant) / (decay + 1)` with epochs
        counted from 0; where the budget is in steps, the same in steps. With `to_zero` that of the
        next epoch: newer forms of that code, WKD's among them, set it when an epoch begins.
        """
        budget = self.budget
        total = budget.steps or budget.epochs or 0
        now = step if budget.steps else step * budget.batch // self.images
        falling = round(budget.decay * total)
        constant = total - falling - budget.to_zero
        return budget.lr * (1 - max(0, now + 1 - constant) / (falling + 1))


@dataclass(frozen=True)
class Schedule:
    """Budgets one after the other; steps are counted from the start of the first."""

    budgets: tuple[Budget, ...]
    images: int

    @cached_property
    def stages(self) -> tuple[StageSchedule, ...]:
        """Return the schedule of each stage."""
        return tuple(StageSchedule(budget, self.images) for budget in self.budgets)

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

    def lr(self, step: int) -> float:
        """Return the learning rate of a step."""
        stage = self.stage(step)
        return self.stages[stage].lr(step - self.starts[stage])
