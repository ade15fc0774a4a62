"""Content against style loss, in the manner of PCA-KD's Figure 6(a)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.contracts.report import Figure, Report, Rows
from reports._format import places, protocols
from reports._select import finite, seeds_note, widest_teacher
from reports._style import Panel, Style, legend, pages, styles

TEACHER = Style("black", "p", "")
UNCHANGED, RECOLOURED = Style("black", "x", ""), Style("black", "+", "")
LOSSES = ("content_loss", "style_loss")
CAPTION = (
    "One point per method and width: mean over seeds, bars from the least seed to the largest. "
    "Lower is better on both axes, and no method is expected to be so on both: what changes "
    "nothing has no content loss (x). A content whose pixels take the style's mean and covariance, "
    "with no network at all, is +. The judge is in the notes; another judge is another figure."
)


class ContentStyle(Report):
    """Content loss on x, style loss on y, one panel per data set and network."""

    order = 26

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where both losses are known."""
        if rows.scores.empty:
            return
        found = finite(rows.scores[rows.scores["metric"].isin(LOSSES)])
        if set(found["metric"]) != set(LOSSES):
            return
        looks = {"teacher": TEACHER, **styles(rows)}
        panels = []
        for heading, entries, mine in places(replace(rows, scores=found)):
            students = entries[entries["role"] == "student"]
            notes = [seeds_note(g, f"{heading}, width {w}") for w, g in students.groupby("width")]
            drawn = pd.concat([widest_teacher(mine), mine[mine["role"] == "student"]])
            draw = partial(_points, found=drawn, looks=looks)
            panels.append(
                Panel(heading, [*notes, *protocols(mine[mine["headline"]], heading)], draw)
            )
        marks = [
            Line2D([], [], label=name, **look.curve(ls=""))
            for name, look in (("content unchanged", UNCHANGED), ("recoloured", RECOLOURED))
        ]
        handles = legend(looks, {*found["method"], "teacher"}, *marks)
        title = "Content loss against style loss"
        yield from pages("pca_kd_figure_6", title, CAPTION, panels, handles)


def _points(axes: Axes, found: pd.DataFrame, looks: dict[str, Style]) -> None:
    """Draw a point per method and width, and the two that need no method."""
    headline = found[found["headline"]]
    by = ["role", "method", "width"]
    for (_, method, _), group in headline.groupby(by, sort=False):
        content, style = (group[group["metric"] == metric]["value"] for metric in LOSSES)
        x, y, look = content.mean(), style.mean(), looks[str(method)]
        axes.hlines(y, content.min(), content.max(), look.colour, lw=0.8)
        axes.vlines(x, style.min(), style.max(), look.colour, lw=0.8)
        axes.plot(x, y, **look.curve(ls="", ms=4.5))
    axes.plot(0, _first(found, "style_loss", "unchanged"), **UNCHANGED.curve(ls="", ms=5))
    moved = (_first(found, metric, "recoloured") for metric in LOSSES)
    axes.plot(*moved, **RECOLOURED.curve(ls="", ms=6))
    axes.set(xlabel="content loss", ylabel="style loss")
    axes.margins(0.1)
    axes.grid(lw=0.3)


def _first(found: pd.DataFrame, metric: str, name: str) -> float:
    """Return a value that is the same in every row that has it."""
    chosen = found[(found["metric"] == metric) & (found["name"] == name)]["value"]
    return float(chosen.iloc[0])
