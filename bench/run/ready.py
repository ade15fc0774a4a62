"""The cells that could be trained now, in the cohorts in which workers take them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from bench.plan.cell import Cell
from bench.plan.matrix import cohorts


class Ready:
    """Groups cells as they become ready, so that handing them out looks at cohorts, not at cells.

    Cohorts for whose cells most others wait come first: teachers before students.
    """

    def __init__(self, awaited: Mapping[str, int]) -> None:
        """Begin with none.

        Args:
            awaited: key of a cell -> how many cells wait for it.
        """
        self._awaited = awaited
        self._groups: dict[str, list[Cell]] = {}  # by what they see
        self._urgency: dict[str, int] = {}

    def add(self, cell: Cell) -> None:
        """Take up a cell."""
        self._groups.setdefault(cell.batches, []).append(cell)
        self._urgency[cell.batches] = max(
            self._urgency.get(cell.batches, 0), self._awaited.get(cell.key, 0)
        )

    def take(self, count: int, at_least: int) -> list[list[Cell]]:
        """Hand out at most `count` cohorts; split the largest until there are `at_least`."""
        if len(self._groups) >= at_least:
            names = heapq.nlargest(count, self._groups, key=self._urgency.__getitem__)
            every = [group for name in names for group in cohorts(self._groups.pop(name))]
        else:
            every = cohorts((c for group in self._groups.values() for c in group), at_least)
            every.sort(key=lambda group: -max(self._awaited.get(c.key, 0) for c in group))
            self._groups.clear()
            self._urgency.clear()
        for group in every[count:]:
            for cell in group:
                self.add(cell)
        return every[:count]
