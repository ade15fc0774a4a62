"""Power by spatial frequency: real images, teacher, students."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from reports._format import protocols
from reports._select import finite, places_by_size, seeds_note
from reports._style import (
    REAL,
    TEACHER,
    Panel,
    Style,
    legend,
    mean_and_range,
    pages,
    styles,
)

CAPTION = (
    "Azimuthal mean of the power spectrum of gray test images, from the longest waves to Nyquist's "
    "0.5 cycles per pixel; left the power, right its ratio to that of the real images (0 dB is "
    "the same power). Lines are means over seeds, shaded their range."
)


class Spectra(Report):
    """Two panels per place and size: power, and its ratio to the real images'."""

    order = 21

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where the metric `spectrum` was taken."""
        if rows.scores.empty:
            return
        scores = finite(rows.scores[rows.scores["metric"] == "spectrum"])
        looks, panels = styles(rows), []
        for place in places_by_size(rows, scores):
            both = pd.concat([place.teacher, place.scores])
            notes = [seeds_note(place.entries, place.heading), *protocols(both, place.heading)]
            lines = [(place.scores[place.scores["method"] == m], look) for m, look in looks.items()]
            lines = [(place.teacher, TEACHER), *lines]
            lines = [(mine, look) for mine, look in lines if len(mine)]
            for draw in (_power, _ratio):
                panels.append(Panel(place.heading, notes, partial(draw, lines=lines)))
        handles = legend(
            {"real images": REAL, "teacher": TEACHER, **looks},
            {"real images", "teacher", *scores["method"]},
        )
        yield from pages("spectra", "Power spectra", CAPTION, panels, handles)


Lines = list[tuple[pd.DataFrame, Style]]


def _power(axes: Axes, lines: Lines) -> None:
    real = pd.concat([levels(scores, "real") for scores, _ in lines], axis=1).mean(axis=1)
    axes.plot(real.index, real, **REAL.curve(lw=1.8))
    for number, (scores, look) in enumerate(lines):
        mean_and_range(axes, levels(scores, "out"), look, number)
    axes.set(xlabel="frequency [cycles per pixel]", ylabel="power [dB]")
    axes.grid(lw=0.3)


def _ratio(axes: Axes, lines: Lines) -> None:
    axes.axhline(0, **REAL.curve(lw=1.8))
    for number, (scores, look) in enumerate(lines):
        mean_and_range(axes, levels(scores, "out") - levels(scores, "real"), look, number)
    axes.set(xlabel="frequency [cycles per pixel]", ylabel="power / real power [dB]")
    axes.grid(lw=0.3)


def levels(scores: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return one column of levels [dB] per seed, by frequency [cycles per pixel].

    Radius r of R ends at r / (2 R).
    """
    mine = scores[scores["name"].str.startswith(f"{of}_")]
    radius = mine["name"].str.removeprefix(f"{of}_").astype(int)
    table = mine.assign(radius=radius).pivot_table(index="radius", columns="seed", values="value")
    return table.set_axis(table.index / (2 * len(table)))
