"""The matrix of a suite: its places, the cells that fill them, and who needs whom."""

from __future__ import annotations

import graphlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.contracts.metric import Metric
from bench.contracts.width import NO_WIDTH, Width, channels, said_width
from bench.plan.cell import Cell
from bench.plan.scores import judges
from bench.plan.suite import Suite
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller
    from bench.plan.shard import Shard


MOST = 32  # cells of a cohort: each takes memory, and a teacher's pass is cheap among so many
Place = tuple[str, str, str, Width, int]  # data set, architecture, method, widths: all but a seed


@dataclass(frozen=True)
class Entry:
    """One place of the matrix: what the suite calls it, and the cell that fills it."""

    dataset: str
    architecture: str
    method: str
    width: Width
    discriminator_width: int  # 0: there is none
    seed: int
    role: str  # "student", "teacher", "assistant", "trial", "autoencoder", "given"; else a judge
    cell: Cell | None  # None: skipped, or still open
    reason: str = ""  # why there is none
    tuned: Mapping[str, Any] = field(default_factory=dict, hash=False)  # what its trials have shown
    like: Cell | None = None  # where the cell is still open: the same with the method's own weight

    @property
    def place(self) -> Place:
        """All axes but the seed, as the suite has them."""
        axes = (self.dataset, self.architecture, self.method)
        return (*axes, self.width, self.discriminator_width)

    @property
    def group(self) -> tuple[str, ...]:
        """All axes but the seed."""
        axes = (self.role, self.dataset, self.architecture, self.method)
        return (*axes, said_width(self.width), str(self.discriminator_width))

    def __str__(self) -> str:
        """Return the place as a person would say it."""
        names = f"{self.dataset} {self.architecture} {self.method}"
        width = f" width {said_width(self.width)}" if self.width != NO_WIDTH else ""
        return f"{names}{width} seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """What a suite asks for: its matrix, every cell that must run, and who needs whom."""

    suite: Suite
    entries: tuple[Entry, ...]  # teachers and judges first
    cells: Mapping[str, Cell]  # key -> cell, those without an entry included
    metrics: tuple[Part[Metric], ...]
    watched: tuple[Part[Metric], ...] = ()  # by which snapshots are scored
    trials: Plan | None = None  # what chooses the methods' weights, where the suite tunes
    shard: Shard | None = None  # which part of the suite's plan this is, if it is not all of it

    @property
    def stages(self) -> tuple[Plan, ...]:
        """The trials, if there are any, and the plan itself."""
        return (self.trials, self) if self.trials else (self,)

    @property
    def every_cell(self) -> dict[str, Cell]:
        """Key -> cell, those of trials included."""
        return {key: cell for plan in self.stages for key, cell in plan.cells.items()}

    def every_entry(self) -> Iterator[tuple[Plan, Entry]]:
        """Yield each place once, those of trials first, with the plan by which it is judged."""
        mine = {entry.cell.key for entry in self.entries if entry.cell}
        if trials := self.trials:
            found = ((entry, entry.cell) for entry in trials.entries)
            yield from ((trials, entry) for entry, cell in found if cell and cell.key not in mine)
        yield from ((self, entry) for entry in self.entries)

    @property
    def open(self) -> list[Cell]:
        """What its students that await trials will be like."""
        return [entry.like for entry in self.entries if entry.like]

    @property
    def students(self) -> list[Entry]:
        """The matrix itself."""
        return [entry for entry in self.entries if entry.role == "student"]

    def recipe(self, cell: Cell) -> str:
        """Return by what a cell is taught, whatever the suite calls it.

        The methods, in brackets the parameters that differ from their defaults, and the kind of
        teacher where it is not the frozen or online one that the method asks for first, is not
        alone, or alternates with its students: what rows of two suites must share to be the same
        method, and what published numbers are found by.
        """
        if cell.given:
            return "given"
        text = "+".join(map(_with_params, cell.methods))
        if cell.deeper is not None:
            text = f"{text}, two teachers"
        if cell.alternation is not None:
            turns = cell.alternation
            text = f"{text}, in turns of {turns.teacher} and {turns.students}"
        if cell.peers > 1:
            return f"{text}, {cell.peers} peers"
        above = self.cells.get(cell.teacher)
        if above is not None and above.teacher:
            return f"{text}, assistant {said_width(above.nets.width)}"
        if above is not None and above.nets == cell.nets:
            return f"{text}, teacher of the same size"
        asked = [part.declared.teachers for part in cell.methods]
        if cell.mentor is not None and any(modes and modes[0] != "online" for modes in asked):
            return f"{text}, online teacher"
        return text

    def needs(self, cell: Cell) -> set[str]:
        """Return the keys of what a cell learns from, and of its judges."""
        return set(cell.needs) | judges(cell, (*self.metrics, *self.watched)).keys()

    def order(self) -> graphlib.TopologicalSorter[str]:
        """Return the DAG of keys: a cell comes after all that it needs."""
        return graphlib.TopologicalSorter({k: self.needs(c) for k, c in self.cells.items()})


def _with_params(method: Part[Distiller]) -> str:
    """Return a method with the parameters that are not its defaults, as in `wkd(levels=4)`."""
    defaults = method.declared.defaults
    given = [f"{n}={v}" for n, v in sorted(method.params.items()) if v != defaults[n]]
    return f"{method.short}({', '.join(given)})" if given else method.short


def cohorts(cells: Iterable[Cell], at_least: int = 1) -> list[list[Cell]]:
    """Group cells that see the same batches, at most `MOST`; split until there are `at_least`.

    Which cells advance together changes no number, so the split may follow the free workers, whose
    largest cohorts are split first.
    Those with the same teacher stay side by side, to share its forward pass.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.batches, []).append(cell)
    found = []
    for group in groups.values():
        group.sort(key=lambda c: (c.teacher, channels(c.nets.width), c.key))
        each = math.ceil(len(group) / math.ceil(len(group) / MOST))
        found += [group[first : first + each] for first in range(0, len(group), each)]
    while found and len(found) < at_least:
        largest = max(found, key=len)
        if len(largest) == 1:
            break
        found.remove(largest)
        half = math.ceil(len(largest) / 2)
        found += [largest[:half], largest[half:]]
    return found
