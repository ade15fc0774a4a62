"""Every seed's score, the mean and its interval, by method."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.contracts.report import Figure, Report, Rows
from reports._format import protocols, titled
from reports._select import (
    INTERVAL,
    Place,
    places_by_size,
    quality,
    seeds_note,
    summary,
)
from reports._style import Panel, Style, pages, shown, styles

CAPTION = (
    "Each seed is a point, at the same place within every method: seeds are paired. Bold dash: "
    f"mean over seeds; bar: {INTERVAL}. Seeds that did not end are named at the axis. Dashed line: "
    "the teacher."
)
HANDLES = [
    Line2D([], [], color="black", ls="", marker="_", ms=9, mew=2, label="mean and interval"),
    Line2D([], [], color="black", ls="--", lw=0.8, label="teacher"),
]


class SeedSpread(Report):
    """One panel per metric, place and size: methods on x."""

    order = 26

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where a suite has several seeds."""
        students = rows.entries[rows.entries["role"] == "student"]
        scores = quality(rows.scores)
        if scores.empty or students["seed"].nunique() < 2:
            return
        looks, panels = styles(rows), []
        for _, column in scores.groupby("metric", sort=False):
            for place in places_by_size(rows, column):
                notes = [
                    seeds_note(place.entries, place.heading),
                    *protocols(pd.concat([place.teacher, place.scores]), place.heading),
                ]
                panels.append(
                    Panel(place.heading, notes, partial(_strips, place=place, looks=looks))
                )
        yield from pages("seed_spread", "Spread over seeds", CAPTION, panels, HANDLES)


def _strips(axes: Axes, place: Place, looks: dict[str, Style]) -> None:
    methods = [m for m in looks if (place.entries["method"] == m).any()]
    seeds = sorted(place.entries["seed"].unique())
    for number, method in enumerate(methods):
        mine = place.scores[place.scores["method"] == method]
        x = [number + 0.4 * ((seeds.index(s) + 0.5) / len(seeds) - 0.5) for s in mine["seed"]]
        axes.plot(x, mine["value"], **looks[method].curve(ls="", alpha=0.8))
    found = summary(place.scores, ["method"])
    x = [methods.index(method) for method in found["method"]]
    axes.plot(x, found["mean"], "_", color="black", ms=12, mew=2, gid="mean")
    axes.vlines(x, found["low"], found["high"], color="black", lw=1)
    if len(place.teacher):
        axes.axhline(place.teacher["value"].mean(), color="black", lw=0.8, ls="--")
    axes.set_xticks(range(len(methods)), [_tick(method, place.entries) for method in methods])
    axes.tick_params("x", rotation=30 if len(methods) > 3 else 0)
    for label in axes.get_xticklabels():
        label.set(ha="right" if len(methods) > 3 else "center", rotation_mode="anchor")
    axes.set(ylabel=titled(place.scores.iloc[0]), xlim=(-0.6, len(methods) - 0.4))
    axes.grid(axis="y", lw=0.3)


def _tick(method: str, entries: pd.DataFrame) -> str:
    """Return a method's name, and under it how its other seeds ended."""
    other = entries[(entries["method"] == method) & (entries["status"] != "done")]
    counts = other["status"].value_counts(sort=False)
    return "\n".join([shown(method, 16), *(f"{n} {status}" for status, n in counts.items())])
