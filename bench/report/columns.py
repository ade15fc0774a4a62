"""A table's columns as a page of paper has them: which stand, how they align, what fits."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.ft2font import FT2Font

from bench.contracts.report import Bold, Table
from bench.report.render import HOLES

COLUMN, PAGE = 3.25 * 72.27, 6.875 * 72.27  # points: one column and two, of the narrowest paper
SIZE = 8.0  # points, of the type
WIDER = 1.08  # the font's cut of this size is wider than that of ten points, which is measured
BOLDER = 1.16
GAP = 8.0  # points between two columns
SMALL_GAP = 1.6  # points between a mean and its deviation
NARROWEST = 40.0  # points, of a head that is set on several lines
PROSE = 60.0  # points, above which text may be set on several lines

NUMBER = re.compile(
    r"(?P<mean>[-+−]?(?:0|[1-9]\d{0,8})(?:\.\d+)?)(?: ± (?P<sd>\d+(?:\.\d+)?))?"  # no key is one
    r"(?P<unit>[kMGT×%]| (?:[a-z]{1,2}|dB|%))?(?P<rest> [(\[].*[)\]])?"
)
JOINTS = re.compile(r"[^\s_/+=,-]*(?:[_/=,]|(?<=[A-Za-z])[+-])|[+-]?[^\s_/+=,-]+|[+-]")
ODD = re.compile(r"[<>≤≥] ?\S+|[-+−]?inf|nan|OOM.*|[a-z]{1,8}")  # in a column of numbers


class Number(NamedTuple):
    """A cell that is a number, in its parts."""

    mean: str
    sd: str
    rest: str  # behind the two: of how many seeds, quartiles, a ratio


@dataclass(frozen=True)
class Column:
    """One column; `numbers` is empty for one of text."""

    head: str
    cells: Sequence[str]
    is_repeated: Sequence[bool]  # whether a cell repeats the one above
    is_subject: bool = False
    numbers: Sequence[Number | None] = ()
    wrapped: float = 0.0  # points, of a column that sets its text on several lines; else 0

    @property
    def has_tail(self) -> bool:
        """Whether something stands behind the means."""
        return any(number and (number.sd or number.rest) for number in self.numbers)

    @property
    def heads(self) -> list[str]:
        """The head, on as many lines as make it no wider than the cells if that can be."""
        return _lines(self.head, max(NARROWEST, self.body))

    @property
    def body(self) -> float:
        """Points that the cells need."""
        if self.wrapped:
            return self.wrapped
        if not self.numbers:
            return max(map(width, self.cells), default=0.0)
        found = [number for number in self.numbers if number]
        mean = sum(self.digits) * width("0") + (width("+") if self.is_signed else 0)
        mean += width(".") if self.digits[1] else 0
        tails = max((width(tail_of(number)) for number in found), default=0.0)
        bold = BOLDER if any(isinstance(cell, Bold) for cell in self.cells) else 1.0
        body = bold * (mean + (SMALL_GAP + tails if self.has_tail else 0.0))
        odd = (c for c, n in zip(self.cells, self.numbers, strict=True) if n is None)
        return max(body, *map(width, odd), 0.0)

    @property
    def digits(self) -> tuple[int, int]:
        """How many digits stand before and behind the point of a mean at most."""
        means = [number.mean.lstrip("+-−") for number in self.numbers if number]
        parts = [mean.partition(".") for mean in means]
        return max(len(whole) for whole, *_ in parts), max(len(part) for *_, part in parts)

    @property
    def is_signed(self) -> bool:
        """Whether a mean has a sign."""
        return any(number and number.mean[0] in "+-−" for number in self.numbers)

    @property
    def width(self) -> float:
        """Points that the column needs."""
        return max(self.body, *map(width, self.heads))

    def is_as_above(self, row: int) -> bool:
        """Say whether a cell is the same as the one above."""
        return row > 0 and self.cells[row] == self.cells[row - 1]


def spans(columns: Sequence[Column]) -> bool:
    """Say whether the first column stands above its rows: few of them have something of its own."""
    if len(columns) < 2 or columns[0].is_subject or columns[0].numbers:
        return False
    first = columns[0]
    return 2 * sum(map(first.is_as_above, range(len(first.cells)))) >= len(first.cells)


def tail_of(number: Number) -> str:
    """Return what stands behind the mean."""
    return (f"± {number.sd}" if number.sd else "") + number.rest


def columns_of(
    table: Table, rows: Sequence[Sequence[tuple[str, bool]]]
) -> tuple[list[Column], list[str]]:
    """Return the columns that tell something, and what the others hold in every row.

    Without those in which every row has the same, which can be said once, or need not be where it
    is nothing. The subject stays, and what was measured of it: numbers with a point behind it.

    Args:
        table: whose columns.
        rows: its cells in full, with whether each repeats the one above.
    """
    kept: list[Column] = []
    said = []
    for number, head in enumerate(table.header):
        cells = [row[number][0] for row in rows]
        repeated = [row[number][1] for row in rows]
        column = _read(Column(head, cells, repeated, head == table.subject))
        is_result = bool(column.numbers) and any(c.is_subject for c in kept) and column.digits[1]
        is_empty = all(cell in HOLES for cell in cells)
        is_constant = len(cells) > 1 and len(set(cells)) == 1
        if column.is_subject or is_result or not (is_empty or is_constant):
            kept.append(column)
        elif not is_empty:
            said.append(f"{head}: {cells[0]}" if head else cells[0])
    return kept, said


def _read(column: Column) -> Column:
    """Return a column with its numbers, if all that stands in it are numbers."""
    if column.is_subject:
        return column
    found = [NUMBER.fullmatch(cell) for cell in column.cells]
    others = [c for c, n in zip(column.cells, found, strict=True) if n is None and c not in HOLES]
    is_numeric = len(others) <= sum(map(bool, found)) > 0
    if not is_numeric or not all(ODD.fullmatch(cell) for cell in others):
        return column
    units = {match["unit"] or "" for match in found if match}
    shared = units.pop() if len(units) == 1 else ""  # it goes to the head
    numbers = [
        match and Number(match["mean"].replace("−", "-"), match["sd"] or "", _rest(match, shared))
        for match in found
    ]
    unit = shared.strip()
    head = f"{column.head} [{unit}]" if unit else column.head
    return replace(column, head=head, numbers=numbers)


def _rest(match: re.Match[str], shared: str) -> str:
    return ("" if shared else match["unit"] or "") + (match["rest"] or "")


def total(columns: Sequence[Column]) -> float:
    """Return the points that columns need beside each other."""
    beside = columns[1:] if spans(columns) else columns
    return sum(column.width for column in beside) + GAP * (len(beside) - 1)


def fitted(columns: Sequence[Column]) -> list[list[Column]]:
    """Return the columns in parts that fit a page, each with the leading ones up to the subject.

    What is too wide sets its long texts on several lines first.
    """
    if total(columns) <= PAGE:
        return [list(columns)]
    wrapped = _wrapped(columns)
    if total(wrapped) <= PAGE:
        return [wrapped]
    subject = next((n for n, column in enumerate(columns) if column.is_subject), 0)
    lead, others = columns[: subject + 1], columns[subject + 1 :]
    for count in range(2, len(others) + 1):
        each = math.ceil(len(others) / count)
        parts = [_wrapped([*lead, *others[n : n + each]]) for n in range(0, len(others), each)]
        if all(total(part) <= PAGE for part in parts):
            return parts
    return [_wrapped([*lead, column]) for column in others] or [wrapped]


def _wrapped(columns: Sequence[Column]) -> list[Column]:
    """Return the columns with their widest texts on several lines, as far as that is needed."""
    found = list(columns)
    excess = total(found) - PAGE
    while excess > 0:
        first = 1 if spans(found) else 0
        can = {n: c.width - _least(c) for n, c in enumerate(found) if n >= first and not c.numbers}
        can = {n: room for n, room in can.items() if room > 1.0}
        if not can:
            break
        number = max(can, key=lambda n: found[n].width)
        second = max([found[n].width for n in can if n != number], default=0.0)
        column = found[number]
        step = max(column.width - second, 6.0)
        width = max(_least(column), column.width - min(step, excess + 0.5))
        found[number] = replace(column, wrapped=width)
        excess = total(found) - PAGE
    return found


def _least(column: Column) -> float:
    """Return the points below which a column of text is not set."""
    words = [word for text in (*column.cells, column.head) for word in pieces(text)]
    return max(PROSE, *map(width, words))


def pieces(text: str) -> list[str]:
    """Return a text's parts between which a line may end: words, and names at their joints."""
    return JOINTS.findall(text) or [""]


def height(columns: Sequence[Column], row: int) -> int:
    """Return how many lines a row takes."""
    lines = [
        math.ceil(1.15 * width(column.cells[row]) / column.wrapped)
        for column in columns
        if column.wrapped
    ]
    return max([1, *lines])


def _lines(text: str, room: float) -> list[str]:
    """Return a head on several lines; a unit in brackets is not torn."""
    words = re.findall(r"\[[^\]]*\]|\S+", text)
    return list(_filled(words, room)) or [""]


def _filled(words: Sequence[str], room: float) -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line} {word}".strip()
        if line and width(longer) > room and word not in "↑↓†":
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def width(text: str) -> float:
    """Return the points that a text takes on one line, a little too many rather than too few."""
    points = sum(_advance(letter) for letter in text)
    return points * SIZE * WIDER * (BOLDER if isinstance(text, Bold) else 1.0)


@functools.cache
def _advance(letter: str) -> float:
    """Return a letter's width in units of the size of the type, in Computer Modern."""
    font = _font()
    if letter == " ":
        return 1 / 3
    if not letter.isascii() or letter in "_<>|{}\\" or not font.get_char_index(ord(letter)):
        return 0.8  # the font has them elsewhere, or not at all
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536 / 10


@functools.cache
def _font() -> FT2Font:
    font = FT2Font(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "cmr10.ttf"))
    font.set_size(10, 72)
    return font
