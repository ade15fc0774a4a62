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
LEAST = 8  # characters of losses that still say something


@dataclass
class Line:
    """What is shown of one cell, or of the whole run."""

    name: str
    done: int = 0  # steps
    total: int = 0  # 0: there is nothing to count
    time: str = ""  # that is left, or what is being done
    losses: str = ""


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
    """Return the lines as a table that is no wider than `width`: losses give way first, then names.

    Names keep their beginning, which tells cells apart.
    """
    counts = [f"{line.done}/{line.total}" if line.total else "" for line in lines]
    bar = BARS[width >= WIDE]
    count = max(map(cell_len, counts), default=0)
    time = max((cell_len(line.time) for line in lines), default=0)
    rest = width - bar - count - time - 3 * GAP
    name = max(1, min(rest, max((cell_len(line.name) for line in lines), default=0)))
    columns = [name, bar, count, time]
    losses = rest - name - GAP
    if losses >= LEAST and any(line.losses for line in lines):
        columns.append(losses)
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(width=column, no_wrap=True, overflow="ellipsis")
    for line, counted in zip(lines, counts, strict=True):
        drawn = ProgressBar(line.total, line.done, width=bar) if line.total else Text("")
        said = (Text(line.name), drawn, Text(counted), Text(line.time), Text(line.losses))
        grid.add_row(*said[: len(columns)])
    return grid


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: 0:07, 12:34, 3:25:00, 2 d 03:25."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
