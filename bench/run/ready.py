"""The cells that could be trained now, in the cohorts in which workers take them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from bench.plan.cell import Cell
from bench.plan.effort import effort
from bench.plan.matrix import cohorts


class Ready:
    """Groups cells as they become ready, so that handing them out looks at cohorts, not at cells.

    Cohorts for whose cells most others wait come first: teachers before students. Of those that are
    equally urgent the one with most effort comes first, so that no long one is left for the end.
    """

    def __init__(self, awaited: Mapping[str, int]) -> None:
        """Begin with none.

        Args:
            awaited: key of a cell -> how many cells wait for it.
        """
        self._awaited = awaited
        self._groups: dict[str, list[Cell]] = {}  # by what they see
        self._ranks: dict[str, tuple[int, float]] = {}

    def add(self, cell: Cell) -> None:
        """Take up a cell."""
        self._groups.setdefault(cell.batches, []).append(cell)
        urgency, total = self._ranks.get(cell.batches, (0, 0.0))
        awaited, more = self._rank([cell])
        self._ranks[cell.batches] = max(urgency, awaited), total + more

    def take(self, count: int, at_least: int) -> list[list[Cell]]:
        """Hand out at most `count` cohorts; split the largest until there are `at_least`."""
        if len(self._groups) >= at_least:
            names = heapq.nlargest(count, self._groups, key=self._ranks.__getitem__)
            for name in names:
                del self._ranks[name]
            return [group for name in names for group in cohorts(self._groups.pop(name))]
        every = cohorts((c for group in self._groups.values() for c in group), at_least)
        every.sort(key=self._rank, reverse=True)
        self._groups.clear()
        self._ranks.clear()
        for group in every[count:]:
            for cell in group:
                self.add(cell)
        return every[:count]

    def _rank(self, group: Iterable[Cell]) -> tuple[int, float]:
        """Return how many wait for the cell that most wait for, and the effort of all."""
        return max(self._awaited.get(c.key, 0) for c in group), sum(map(effort, group))
