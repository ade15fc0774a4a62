"""Content against style loss, and how alike content and output are: PCA-KD's Figure 6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.contracts.report import Figure, Report, Rows
from bench.contracts.verdict import NOT_TRAINED
from reports._format import Note, holes, places, protocols, titled
from reports._select import finite, seeds_note, teachers_of
from reports._style import Panel, Style, legend, pages, shown, styles

TEACHER = Style("black", "p", "")
UNCHANGED, RECOLOURED = Style("black", "x", ""), Style("black", "+", "")
LOSSES = ("content_loss", "style_loss")
LIKENESS = {"ssim": "SSIM", "fsim": "FSIM", "nima": "NIMA"}
CAPTION = (
    "(a) One point per method and width: mean over seeds, bars from the least seed to the largest. "
    "Lower is better on both axes, and no method is expected to be so on both: what changes "
    "nothing has no content loss (x). A content whose pixels take the style's mean and covariance, "
    "with no network at all, is +. The judge is in the notes; another judge is another figure. "
    "(b) SSIM and FSIM of each output to its content, of which the unchanged content would have 1, "
    "and NIMA of the output alone, higher is better: means over seeds, with lines from the least "
    "seed to the largest. Hollow in both: mean and range of seeds that did not train, which "
    "are in no other mark and rank nothing."
)
HOLLOW = "not trained (hollow)"


class ContentStyle(Report):
    """(a) content loss on x, style loss on y; (b) a bar per method and metric of likeness.

    One panel per data set and network; in (b) one per metric besides. Students that did not train
    are in both, marked as such.
    """

    order = 26

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where both losses are known; (b) with what is known of it."""
        known = _known(rows)
        if known.empty or not set(LOSSES) <= set(known["metric"]):
            return
        looks, panels = {"teacher": TEACHER, **styles(rows)}, []
        for heading, entries, mine in _places(rows, known):
            students = entries[entries["role"] == "student"]
            notes = [seeds_note(g, f"{heading}, width {w}") for w, g in students.groupby("width")]
            notes += protocols(mine[mine["headline"]], heading)
            losses = mine[mine["metric"].isin(LOSSES)]
            draw = partial(_points, found=losses, looks=looks)
            panels.append(Panel(f"(a) {heading}", notes, draw))
            for metric, name in LIKENESS.items():
                column = mine[(mine["metric"] == metric) & mine["headline"]]
                if column.empty:
                    notes += _left_out(rows, metric, name, heading, entries)
                else:
                    draw = partial(_bars, found=column, looks=looks)
                    panels.append(Panel(f"(b) {heading}", (), draw))
        marks = [
            Line2D([], [], label=name, **look.curve(ls=""))
            for name, look in (("content unchanged", UNCHANGED), ("recoloured", RECOLOURED))
        ]
        if (known["status"] == NOT_TRAINED).any():
            marks.append(Line2D([], [], label=HOLLOW, **TEACHER.curve(ls="", mfc="white")))
        handles = legend(looks, {*known["method"], "teacher"}, *marks)
        title = "Content loss, style loss and likeness"
        yield from pages("pca_kd_figure_6", title, CAPTION, panels, handles)


def _known(rows: Rows) -> pd.DataFrame:
    """Return the finite scores of the figure, those of students that did not train included."""
    found = _all(rows)
    return finite(found[found["metric"].isin([*LOSSES, *LIKENESS])]) if len(found) else found


def _all(rows: Rows) -> pd.DataFrame:
    """Return the scores, those of students that did not train included."""
    parts = [frame for frame in (rows.scores, rows.untrained) if len(frame)]
    return pd.concat(parts) if parts else pd.DataFrame()


def _places(rows: Rows, known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield heading, entries and scores where there are students: theirs and their teacher's."""
    for heading, entries, scores in places(replace(rows, scores=known)):
        students = scores[scores["role"] == "student"]
        if len(students):
            dataset, architecture = students[["dataset", "architecture"]].iloc[0]
            yield heading, entries, pd.concat([teachers_of(known, dataset, architecture), students])


def _points(axes: Axes, found: pd.DataFrame, looks: dict[str, Style]) -> None:
    """Draw a point per method and width, and the two that need no method."""
    headline = found[found["headline"]]
    by = ["role", "method", "width", "status"]
    for (_, method, _, status), group in headline.groupby(by, sort=False):
        content, style = (group[group["metric"] == metric]["value"] for metric in LOSSES)
        x, y, look = content.mean(), style.mean(), looks[str(method)]
        axes.hlines(y, content.min(), content.max(), look.colour, lw=0.8)
        axes.vlines(x, style.min(), style.max(), look.colour, lw=0.8)
        hollow = {"mfc": "white"} if status == NOT_TRAINED else {}
        axes.plot(x, y, **look.curve(ls="", ms=4.5, **hollow))
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


def _left_out(
    rows: Rows, metric: str, name: str, heading: str, entries: pd.DataFrame
) -> list[Note]:
    """Say why a metric has no panel."""
    scores = _all(rows)
    if len(scores):
        scores = scores[(scores["metric"] == metric) & scores["key"].isin(entries["key"])]
    if len(scores):
        return holes(scores, heading)
    return [Note(name, heading, "left out, as the suite does not ask for it")]


def _bars(axes: Axes, found: pd.DataFrame, looks: dict[str, Style]) -> None:
    """Draw a bar per method, width and whether it trained."""
    several = found[found["role"] == "student"]["width"].nunique() > 1
    names = []
    by = ["role", "method", "width", "status"]
    for place, ((_, method, width, status), group) in enumerate(found.groupby(by, sort=False)):
        look, values = looks[str(method)], group["value"]
        face = "white" if status == NOT_TRAINED else look.colour
        axes.bar(place, values.mean(), 0.7, color=face, edgecolor=look.colour)
        axes.vlines(place, values.min(), values.max(), "black", lw=1)
        names.append(shown(str(method), 16) + (f"\n{width}" if several else ""))
    axes.set_xticks(np.arange(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set(ylabel=titled(found.iloc[0]), xlim=(-0.6, len(names) - 0.4))
    axes.grid(axis="y", lw=0.3)
    axes.set_axisbelow(True)
