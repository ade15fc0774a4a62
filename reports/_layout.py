"""A paper's table as data: which rows of a suite stand in it, in which order, in which columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from typing import NamedTuple

import pandas as pd

from bench.contracts.report import Rows, Table
from reports._columns import Column, Line, Place, Score
from reports._format import (
    SIZE,
    Note,
    as_entries,
    beside,
    drawn,
    holes,
    marks,
    merged,
    origins,
    ports,
    protocols,
    size,
)
from reports._printed import numbers, unlabelled
from reports._select import teachers_of, widest

SPREAD = (
    "Mean ± standard deviation (n - 1) over seeds, of the last checkpoint unless a note says "
    "otherwise; a seed that is missing, failed, diverged or did not train is named and never "
    "averaged away."
)
MEANS = "Mean ± standard deviation over seeds."


class Row(NamedTuple):
    """One row of a paper's table."""

    recipe: str  # of the students that fill it, as Plan.recipe says it; `*` stands for any text
    marks: tuple[str, ...] = ()  # what the paper says of it in columns of its own: ticks, settings


@dataclass(frozen=True)
class Layout:
    """The shape of a paper's table.

    It applies to a data set, architecture and width where every recipe of `rows` and `recipes` is
    in the matrix, whatever became of it, and where every metric of its scores has a value.
    """

    name: str  # of the files
    title: str
    caption: str
    paper: str  # as in the file of printed numbers
    tables: tuple[str, ...]  # of that paper, for its printed numbers
    columns: tuple[Column, ...]
    shared: tuple[Column, ...] = ()  # the same for a whole block: printed once, before the methods
    rows: tuple[Row, ...] = ()  # none: every method of the suite
    marks: tuple[str, ...] = ()  # headings of the rows' marks
    recipes: tuple[str, ...] = ()  # must be in the matrix beside those of the rows
    networks: tuple[str, ...] = ()  # rows are networks; these must be there, the original first

    def covers(self, students: pd.DataFrame) -> bool:
        """Tell whether all that the table needs is among the students of one size."""
        found = set(students["recipe"])
        wanted = (*self.recipes, *(row.recipe for row in self.rows))
        return all(any(fnmatchcase(recipe, w) for recipe in found) for w in wanted)

    def has_scores(self, scores: pd.DataFrame) -> bool:
        """Tell whether every metric that the table is about has a value."""
        return self.metrics <= set(scores.loc[scores["value"].notna(), "metric"])

    @property
    def metrics(self) -> set[str]:
        """The metrics of the scores."""
        return {column.metric for column in self.columns if isinstance(column, Score)}


class _Block(NamedTuple):
    """What stands between two rules: one network size at one place."""

    place: list[str]  # the leading cells of its first row
    lines: list[Line]


def method_tables(layout: Layout, rows: Rows) -> Iterator[Table]:
    """Yield the table with a row per method, the teacher's first, where the suite has its rows."""
    if rows.scores.empty:
        return
    blocks: list[_Block] = []
    notes: list[Note | str] = []
    students = rows.entries[rows.entries["role"] == "student"]
    for (dataset, architecture), mine in students.groupby(["dataset", "architecture"], sort=False):
        groups = [group for _, group in mine.groupby(SIZE, sort=False) if layout.covers(group)]
        if not groups:
            continue
        teachers = teachers_of(rows.entries, str(dataset), str(architecture))
        same = (rows.entries["dataset"] == dataset) & (rows.entries["architecture"] == architecture)
        given = rows.entries[same & (rows.entries["role"] == "given")]
        keys = pd.concat([teachers, *groups, given])["key"]
        scores = rows.scores[(rows.scores["dataset"] == dataset) & rows.scores["key"].isin(keys)]
        directions = list(scores["direction"].unique())
        for direction in directions:
            arrow = f" {direction}" if len(directions) > 1 else ""
            heading = f"{dataset}{arrow}, {architecture}"
            found = scores[scores["direction"] == direction]
            if layout.has_scores(found):
                blocks += _place(layout, rows, heading, groups, teachers, given, found)
                notes += _notes(layout, heading, found)
                notes.append(_counts(f"{dataset}, {architecture}", groups, teachers))
                floor = beside(rows, groups[0], found)
                if len(floor):
                    blocks.append(_floor(layout, floor, groups[0]))
                    notes += drawn(floor, heading)
    if blocks:
        yield _table(layout, ["Data", "Width"], "Method", blocks, notes)


def network_table(layout: Layout, rows: Rows) -> Iterator[Table]:
    """Yield the table with a row per network, whatever trained it, where the suite has them."""
    if rows.scores.empty:
        return
    blocks: list[_Block] = []
    notes: list[Note | str] = []
    entries = rows.entries[rows.entries["role"].isin(["student", "teacher"])]
    for dataset, mine in entries.groupby("dataset", sort=False):
        scores = rows.scores[rows.scores["key"].isin(mine["key"])]
        scores = (
            scores[scores["direction"] == scores["direction"].iloc[0]] if len(scores) else scores
        )
        names = unlabelled(mine)["architecture"]
        if not (set(layout.networks) <= set(names) and layout.has_scores(scores)):
            continue
        original = widest(mine[names.isin(layout.networks[:1])])
        place = Place(scores, pd.DataFrame())
        lines = [
            Line(f"{name} {width}", (), seeds, original, seeds.iloc[:0], place)
            for (name, width), seeds in mine.groupby(["architecture", "width"], sort=False)
        ]
        blocks.append(_Block([str(dataset)], lines))
        notes += _notes(layout, str(dataset), scores)
    if blocks:
        yield _table(layout, ["Data"], "Network", blocks, notes)


def _place(
    layout: Layout,
    rows: Rows,
    heading: str,
    groups: Sequence[pd.DataFrame],
    teachers: pd.DataFrame,
    given: pd.DataFrame,
    scores: pd.DataFrame,
) -> Iterator[_Block]:
    """Yield the teacher's block, one per size of the students, and what was not trained here."""
    place = Place(scores, _printed(layout))
    first = heading
    others = [group for _, group in given.groupby(SIZE, sort=False)]
    for group in [*([teachers] if len(teachers) else []), *groups, *others]:
        control = group[group["is_control"] & (group["role"] == "student")]
        lines = [
            Line(
                _name(seeds, groups[0]),
                row.marks or ("",) * len(layout.marks),
                seeds,
                teachers,
                control,
                place,
            )
            for row, seeds in _rows(layout, group)
        ]
        width, judge = (group[axis].iloc[0] for axis in SIZE)
        yield _Block([first, size(width, judge, rows)], lines)
        first = ""


def _floor(layout: Layout, scores: pd.DataFrame, students: pd.DataFrame) -> _Block:
    """Return the block of real images beside samples."""
    real = as_entries(scores, students)
    nothing = real.iloc[:0]
    place = Place(scores, _printed(layout).iloc[:0])
    line = Line("real images", ("",) * len(layout.marks), real, nothing, nothing, place)
    return _Block(["", "—"], [line])


def _name(seeds: pd.DataFrame, students: pd.DataFrame) -> str:
    """Return a method's name, with a network that is not the students', and seeds that are lost."""
    name, network = seeds[["method", "architecture"]].iloc[0]
    other = "" if network == students["architecture"].iloc[0] else f" ({network})"
    return f"{name}{other}{marks(seeds)}"


def _rows(layout: Layout, group: pd.DataFrame) -> Iterator[tuple[Row, pd.DataFrame]]:
    """Yield each row with its seeds: the teacher's, the layout's, or every method's."""
    is_student = (group["role"] == "student").all()
    for row in layout.rows if is_student and layout.rows else (Row("*"),):
        mine = group[[fnmatchcase(recipe, row.recipe) for recipe in group["recipe"]]]
        for _, seeds in mine.groupby("method", sort=False):
            yield row, seeds


def _printed(layout: Layout) -> pd.DataFrame:
    """Return the numbers of the paper's tables that the layout is the shape of."""
    found = numbers()
    named = (
        found["table"]
        .str.split(", ")
        .map(lambda tables: any(t.partition(" (")[0] in layout.tables for t in tables))
    )
    return found[(found["paper"] == layout.paper) & named]


def _notes(layout: Layout, heading: str, scores: pd.DataFrame) -> list[Note]:
    """Return the protocol of each score, and why values are missing."""
    metrics = {column.metric for column in (*layout.shared, *layout.columns)}
    mine = scores[scores["metric"].isin(metrics)]
    return [*protocols(mine, heading), *holes(mine, heading)]


def _counts(heading: str, groups: Sequence[pd.DataFrame], teachers: pd.DataFrame) -> Note:
    """Return how many seeds stand behind a row."""
    counts = {len(seeds) for group in groups for _, seeds in group.groupby("method")}
    students = " or ".join(map(str, sorted(counts)))
    taught = f", the teacher's {len(teachers)}" if len(teachers) else ""
    return Note("Seeds per row", heading, f"{students}{taught}")


def _table(
    layout: Layout,
    leading: list[str],
    named: str,
    blocks: Sequence[_Block],
    notes: list[Note | str],
) -> Table:
    """Return the table, without the columns in which nothing stands."""
    lines = [line for block in blocks for line in block.lines]
    shared = _kept(layout.shared, [block.lines[0] for block in blocks])
    own = _kept(layout.columns, lines)
    made: list[list[list[str]]] = []
    for number, block in enumerate(blocks):
        place = [*block.place, *(cells[number] for _, cells in shared)]
        made.append([])
        for line in block.lines:
            first = [""] * len(place) if made[-1] else place
            made[-1].append([*first, line.name, *line.marks])
    for row, texts in zip(
        chain(*made), zip(*(cells for _, cells in own), strict=True), strict=True
    ):
        row += texts
    header = [*leading, *(column.heading(lines) for column, _ in shared), named, *layout.marks]
    header += [column.heading(lines) for column, _ in own]
    notes += [note for column, _ in own for note in column.notes(lines)]
    seeds = pd.concat([line.seeds for line in lines])
    notes += [*ports(seeds), *origins(seeds)]
    caption, said = layout.caption, merged(notes)
    return Table(layout.name, layout.title, caption, header, made, said, MEANS, subject=named)


def _kept(columns: Sequence[Column], lines: Sequence[Line]) -> list[tuple[Column, list[str]]]:
    """Return the columns in which something stands, each with its cells."""
    found = [(column, [column.cell(line) for line in lines]) for column in columns]
    return [(column, cells) for column, cells in found if set(cells) - {"", "—"}]
