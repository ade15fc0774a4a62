"""What a terminal shows of a run: a line for all of it and one per cell in hand, at any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BARS = (12, 24)  # characters of a bar: below 100 columns, and from there on
WIDE = 100
GAP = 2
LEAST = 8  # characters of losses, or of names, that still say something


@dataclass
class Line:
    """What is shown of one cell, or of the whole run."""

    name: str  # cut first, where there is little room
    done: int = 0  # steps
    total: int = 0  # 0: there is nothing to count
    time: str = ""  # that is left, or what is being done
    losses: str = ""
    mark: str = ""  # after the name: what tells the line from others, never cut
    short: str = ""  # likewise, where there is no room for it
    rest: str = ""  # cut at will

    @property
    def text(self) -> str:
        """What stands before the bar, whole."""
        return self.name + self.mark + self.rest

    def within(self, room: int) -> Text:
        """Return the text in so many characters: the mark stays, in its short form if need be."""
        text = Text(self.text)
        if cell_len(self.name + self.mark) >= room and cell_len(self.text) > room:
            text = Text(self.name)
            text.truncate(max(0, room - cell_len(self.short)), overflow="ellipsis")
            text.append(self.short)
        text.truncate(room, overflow="ellipsis")
        return text


@dataclass(frozen=True)
class Board:
    """Lines under each other: name, bar, steps and time always; losses in the room that is left.

    Lines that a terminal is not high enough for are counted in the last one.
    """

    lines: Sequence[Line]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width and height of a terminal."""
        lines, room = list(self.lines), max(2, console.size.height - 2)
        more = len(lines) - room
        if more > 0:
            lines = [*lines[: room - 1], Line(f"and {more + 1} more")]
        yield _grid(lines, options.max_width)


def _grid(lines: Sequence[Line], width: int) -> Table:
    """Return the lines as a table this wide at most: losses give way first, then names, bars."""
    counts = [f"{brief(line.done)}/{brief(line.total)}" if line.total else "" for line in lines]
    bar = BARS[width >= WIDE]
    count = max(map(cell_len, counts), default=0)
    time = max((cell_len(line.time) for line in lines), default=0)
    rest = width - bar - count - time - 3 * GAP
    bar, rest = max(1, bar - max(0, LEAST - rest)), max(rest, min(LEAST, rest + bar - 1))
    name = max(1, min(rest, max((cell_len(line.text) for line in lines), default=0)))
    columns = [name, bar, count, time]
    losses = rest - name - GAP
    if losses >= LEAST and any(line.losses for line in lines):
        columns.append(losses)
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(width=column, no_wrap=True, overflow="ellipsis")
    for line, counted in zip(lines, counts, strict=True):
        drawn = ProgressBar(line.total, line.done, width=bar) if line.total else Text("")
        said = (line.within(name), drawn, Text(counted), Text(line.time), Text(line.losses))
        grid.add_row(*said[: len(columns)])
    return grid


def brief(count: int) -> str:
    """Return a number of steps as a board shows it: 6400, 12.3k, 150k, 1.23M; rounded down."""
    if count < 10_000:
        return str(count)
    unit, size = ("k", 1000) if count < 1_000_000 else ("M", 1_000_000)
    digits = max(0, 3 - len(str(count // size)))
    return f"{count * 10**digits // size / 10**digits:.{digits}f}{unit}"


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: 0:07, 12:34, 3:25:00, 2 d 03:25."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
