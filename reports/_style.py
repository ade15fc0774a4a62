"""How figures look: one style per method in all of them, panels on pages that fit a paper."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from bench.contracts.report import Figure, Rows
from reports._format import Note, merged

COLUMN, PAGE = 3.3, 7.0  # inches: the widths of one column and of two
HEIGHT = 2.4  # inches, of a panel
PER_PAGE = 6  # panels
LONGEST = 28  # letters of a name
# Okabe & Ito's palette without black and yellow, and a brown; neighbours differ in lightness too
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C564B")
MARKERS = "sD^vP*X<>p"  # a control's is a circle
LINES = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1, 1, 1, 1, 1)))
FONTS: dict[Any, Any] = {
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
}


class Style(NamedTuple):
    """What tells one line from the others, in grey print too."""

    colour: str
    marker: str
    line: Any

    def curve(self, **more: Any) -> dict[str, Any]:
        """Return the arguments of `Axes.plot` for a line with markers."""
        look = {"color": self.colour, "marker": self.marker, "ls": self.line}
        return {**look, "lw": 1.1, "ms": 3.6, "mew": 0.5, **more}


TEACHER = Style("black", "", "--")
REAL = Style("black", "", "-")


class Panel(NamedTuple):
    """One pair of axes: its title, what belongs under the figure, and who draws."""

    title: str
    notes: Sequence[Note]
    draw: Callable[[Axes], None]


def styles(rows: Rows) -> dict[str, Style]:
    """Return method -> style, in the suite's order: controls grey, the others as they come."""
    students = rows.entries[rows.entries["role"] == "student"]
    controls = students.groupby("method", sort=False)["is_control"].any()
    found: dict[str, Style] = {}
    number = 0
    for method, is_control in controls.items():
        if is_control:
            found[str(method)] = Style("0.55", "o", "-")
            continue
        found[str(method)] = nth_style(number)
        number += 1
    return found


def nth_style(number: int) -> Style:
    """Return one of many styles; none recurs among the first thirty."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    return Style(colour, marker, LINES[number % len(LINES)])


def legend(looks: Mapping[str, Style], names: Iterable[str], *more: Artist) -> list[Artist]:
    """Return the legend's handles: what a teacher or a real set is drawn as, then the methods."""
    wanted = set(names)
    lines = [Line2D([], [], label=n, **s.curve()) for n, s in looks.items() if n in wanted]
    return [*more, *lines]


def pages(
    name: str, title: str, caption: str, panels: Sequence[Panel], handles: Sequence[Artist]
) -> Iterator[Figure]:
    """Yield figures of at most six panels in two columns, each with one legend.

    Args:
        name: of the files; later pages have "-2", "-3", ... behind it.
        title: of the figure; later pages have their number behind it.
        caption: what is shown.
        panels: in order.
        handles: of the legend.
    """
    count = -(-len(panels) // PER_PAGE)
    for number in range(count):
        some = panels[number * PER_PAGE : (number + 1) * PER_PAGE]
        yield Figure(
            f"{name}-{number + 1}" if number else name,
            f"{title} ({number + 1} of {count})" if count > 1 else title,
            caption,
            _draw(some, handles),
            merged(note for panel in some for note in panel.notes),
        )


def shown(name: str, longest: int = LONGEST) -> str:
    """Return a name as a figure shows it: on one line, not too long."""
    text = textwrap.shorten(" ".join(name.split()), longest, placeholder="…")
    if text in ("", "…"):
        text = f"{name[: longest - 1]}…"
    return f" {text}" if text.startswith("_") else text  # matplotlib hides labels with "_"


def log_x(axes: Axes) -> None:
    """Make x logarithmic, with ticks like 2M and 50k; call it once everything is drawn."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    subs: Sequence[int] = range(1, 10)
    if decades > 0.35:  # labels must not run into each other
        subs = (1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2.5 else (1,)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def log_y(axes: Axes) -> None:
    """Make y logarithmic, with ticks like 0.1 and 1e-05: formulas are not parsed."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def mean_and_range(axes: Axes, seeds: pd.DataFrame, look: Style, number: int, **more: Any) -> None:
    """Draw the mean over seeds as a line and their range as a shade.

    Args:
        axes: where.
        seeds: one row per place on x, one column per seed.
        look: of the line.
        number: of the line, which sets its markers beside those of others.
        more: arguments of `Axes.plot`.
    """
    every = max(1, len(seeds) // 6)
    mean, low, high = seeds.mean(axis=1), seeds.min(axis=1), seeds.max(axis=1)
    axes.plot(seeds.index, mean, **look.curve(markevery=(number % every, every), **more))
    axes.fill_between(seeds.index, low, high, color=look.colour, alpha=0.12, lw=0)


def _draw(panels: Sequence[Panel], handles: Sequence[Artist]) -> Drawing:
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width = PAGE if columns > 1 else COLUMN
    with mpl.rc_context(FONTS):
        drawing, grid = plt.subplots(rows, columns, squeeze=False)
        for panel, axes in zip(panels, grid.flat, strict=False):
            axes.tick_params(labelsize=8)  # ticks are made again later, when FONTS do not count
            panel.draw(axes)
            axes.set_title(textwrap.fill(panel.title, 44))
            axes.spines[["top", "right"]].set_visible(False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        lines = _legend(drawing, width, handles)
        drawing.set_size_inches(width, rows * HEIGHT + 0.17 * lines)
        for _ in range(2):  # for all formats; the first one changes sizes, and with them the ticks
            ConstrainedLayoutEngine().execute(drawing)
    return drawing


def _legend(drawing: Drawing, width: float, handles: Sequence[Artist]) -> int:
    """Put one legend under all panels; return its number of lines."""
    labels = [shown(str(handle.get_label())) for handle in handles]
    room = 0.065 * max(map(len, labels), default=0) + 0.6  # inches of an entry
    columns = max(1, min(len(labels), int(width / room)))
    if labels:
        drawing.legend(
            list(handles),
            labels,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            handlelength=2.6,
            columnspacing=1.2,
        )
    return -(-len(labels) // columns)
