"""A plan is dealt out to machines that know nothing of each other: `--shard 2/3` is one part.

Who gets what depends on the plan alone, so that every machine deals alike. Cells that see the same
batches stay together, as they advance in one cohort; a part has with its cells all that these need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.plan.cell import Cell
from bench.plan.matrix import Plan, cohorts

Work = Callable[[Sequence[Cell], Mapping[str, Cell]], int]
"""(cells that advance together, key -> cell of their teachers) -> how much work that is.

Whole numbers: their sums are the same in any order, so on any machine."""


@dataclass(frozen=True)
class Shard:
    """Which part of a plan another plan is."""

    number: int  # from 1
    count: int
    share: float  # of the work of all parts, in [0, 1]
    again: int  # cells that other parts train too, as teachers of cells of theirs
    waiting: int  # places of all parts that await trials: who gets what may change with these

    def __str__(self) -> str:
        """Return it as it was asked for."""
        return f"{self.number}/{self.count}"


def deal(plan: Plan, count: int, work: Work) -> list[Plan]:
    """Return the parts of a plan, of about as much work each; some are empty if cells are too few.

    Cells that need the same teachers stay together where that is done no later. A cohort is split
    where there are fewer than parts. Places that are skipped are in the first part.

    Args:
        plan: all of it; with trials, these are dealt too.
        count: how many parts.
        work: how much work a cohort is.
    """
    needed = {key for cell in plan.cells.values() for key in plan.needs(cell)}
    results = {key: cell for key, cell in plan.cells.items() if key not in needed}
    results |= {cell.key: cell for cell in plan.open}
    families: dict[frozenset[str], list[list[Cell]]] = {}
    for group in cohorts(results.values(), count):
        families.setdefault(frozenset(_above(plan, group)), []).append(group)
    bundles = [_Bundle(plan, work, groups) for groups in families.values()]
    apart = [_Bundle(plan, work, [group]) for groups in families.values() for group in groups]
    hands = min(_dealt(bundles, count), _dealt(apart, count), key=_duration)
    trials = deal(plan.trials, count, work) if plan.trials else [None] * count
    total = sum(hand.amount for hand in hands) or 1
    parts = []
    for number, (hand, tried) in enumerate(zip(hands, trials, strict=True), 1):
        others = {key for other in hands if other is not hand for key in other.keys}
        again = len(hand.keys & others)
        shard = Shard(number, count, hand.amount / total, again, len(plan.open))
        entries = tuple(
            entry
            for entry in plan.entries
            if (cell.key in hand.keys if (cell := entry.cell or entry.like) else number == 1)
        )
        cells = {key: cell for key, cell in plan.cells.items() if key in hand.keys}
        parts.append(replace(plan, entries=entries, cells=cells, trials=tried, shard=shard))
    return parts


class _Bundle:
    """Cohorts that stay together, and what they need."""

    def __init__(self, plan: Plan, work: Work, groups: Sequence[Sequence[Cell]]) -> None:
        cells = [cell for group in groups for cell in group]
        self.keys = {cell.key for cell in cells}
        self.amount = sum(work(group, plan.cells) for group in groups)
        above = sorted(_above(plan, cells))
        self.above = {key: work([plan.cells[key]], plan.cells) for key in above}


@dataclass
class _Hand:
    """What one part has been dealt."""

    amount: int = 0
    keys: set[str] = field(default_factory=set)

    def amount_with(self, bundle: _Bundle) -> int:
        """Return its work once it has a bundle too, and what of its needs it lacks."""
        lacks = sum(amount for key, amount in bundle.above.items() if key not in self.keys)
        return self.amount + bundle.amount + lacks

    def take(self, bundle: _Bundle) -> None:
        self.amount = self.amount_with(bundle)
        self.keys |= bundle.keys | bundle.above.keys()


def _dealt(bundles: Iterable[_Bundle], count: int) -> list[_Hand]:
    """Deal the largest first, each to who is done with it the earliest."""
    hands = [_Hand() for _ in range(count)]
    for bundle in sorted(bundles, key=lambda b: (-b.amount, min(b.keys))):
        min(hands, key=lambda hand: hand.amount_with(bundle)).take(bundle)
    return hands


def _duration(hands: Iterable[_Hand]) -> tuple[int, int]:
    """Return the work of the part that has most, then that of all."""
    amounts = [hand.amount for hand in hands]
    return max(amounts), sum(amounts)


def _above(plan: Plan, group: Iterable[Cell]) -> set[str]:
    """Return the keys of all cells of the plan that some cells need, directly or not."""
    found: set[str] = set()
    waiting = list(group)
    while waiting:
        new = (plan.needs(waiting.pop()) & plan.cells.keys()) - found
        found |= new
        waiting += [plan.cells[key] for key in new]
    return found
