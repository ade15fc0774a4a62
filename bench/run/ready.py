"""The cells that could be trained now, in the cohorts in which workers take them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import count as counter

from bench.plan.cell import Cell
from bench.plan.effort import effort
from bench.plan.matrix import cohorts

Rank = tuple[int, float]


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
        self._groups: dict[int, list[Cell]] = {}  # by number, in the order in which they came up
        self._ranks: dict[int, Rank] = {}
        self._growing: dict[str, int] = {}  # what cells see -> the group that takes up others
        self._first: list[tuple[int, float, int]] = []  # a heap of (rank, group), past ranks too
        self._numbers = counter()
        self._cells = 0

    def __len__(self) -> int:
        """Return how many cells wait to be handed out."""
        return self._cells

    def add(self, cell: Cell) -> None:
        """Take up a cell."""
        self._cells += 1
        number = self._growing.get(cell.batches)
        if number is None:
            self._growing[cell.batches] = self._put([cell], self._rank([cell]))
            return
        self._groups[number].append(cell)
        (urgency, total), (awaited, more) = self._ranks[number], self._rank([cell])
        self._queue(number, (max(urgency, awaited), total + more))

    def take(self, count: int, at_least: int) -> list[list[Cell]]:
        """Hand out at most `count` cohorts; split the largest until there are `at_least`.

        What is split and not handed out stays split.
        """
        if len(self._groups) < at_least:
            self._split(at_least)
        found: list[list[Cell]] = []
        while self._first and len(found) < count:
            urgency, total, number = heapq.heappop(self._first)
            if self._ranks.get(number) == (-urgency, -total):
                found += cohorts(self._drop(number))
                self._cells -= len(found[-1])
        return found

    def _split(self, at_least: int) -> None:
        """Halve the group of most cells until there are so many, or each is one cell."""
        sizes = [(-len(group), number) for number, group in self._groups.items()]
        heapq.heapify(sizes)
        while sizes and len(sizes) < at_least and sizes[0][0] < -1:
            for half in cohorts(self._drop(heapq.heappop(sizes)[1]), at_least=2):
                heapq.heappush(sizes, (-len(half), self._put(half, self._rank(half))))

    def _put(self, group: list[Cell], rank: Rank) -> int:
        number = next(self._numbers)
        self._groups[number] = group
        self._queue(number, rank)
        return number

    def _queue(self, number: int, rank: Rank) -> None:
        self._ranks[number] = rank
        heapq.heappush(self._first, (-rank[0], -rank[1], number))

    def _drop(self, number: int) -> list[Cell]:
        """Let go of a group; cells that see the same and come later begin another."""
        del self._ranks[number]
        group = self._groups.pop(number)
        if self._growing.get(group[0].batches) == number:
            del self._growing[group[0].batches]
        return group

    def _rank(self, group: Iterable[Cell]) -> Rank:
        """Return how many wait for the cell that most wait for, and the effort of all."""
        return max(self._awaited.get(c.key, 0) for c in group), sum(map(effort, group))
