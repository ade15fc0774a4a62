"""How many steps a budget is, and the learning rate at each: constant, then linear to zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.plan.suite import Budget


@dataclass(frozen=True)
class Schedule:
    """A budget over a training split of `images` images."""

    budget: Budget
    images: int

    @property
    def steps(self) -> int:
        """Return the number of optimiser steps."""
        if self.budget.steps is not None:
            return self.budget.steps
        return math.ceil((self.budget.epochs or 0) * self.images / self.budget.batch)

    def evenly(self, times: int) -> list[int]:
        """Return `times` steps at even distances, the last of them the end."""
        steps = {math.ceil(self.steps * i / times) for i in range(1, times + 1)}
        return sorted(steps)

    def lr(self, step: int) -> float:
        """Return the learning rate of a step.

        The original code's rule, `1 - max(0, epoch + 1 - constant) / (decay + 1)` with epochs
        counted from 0; where the budget is in steps, the same in steps.
        """
        budget = self.budget
        total = budget.steps or budget.epochs or 0
        now = step if budget.steps else step * budget.batch // self.images
        falling = round(budget.decay * total)
        constant = total - falling
        return budget.lr * (1 - max(0, now + 1 - constant) / (falling + 1))
