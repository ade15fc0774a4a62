"""Quality over training: the last checkpoint, which counts, and the best one, which does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.contracts.report import Figure, Report, Rows
from reports._format import protocols, titled
from reports._select import places_by_size, quality, seeds_note
from reports._style import Panel, Style, legend, mean_and_range, pages, styles

LAST = Line2D([], [], ls="", marker="o", color="0.3", ms=6, label="last: the result")
BEST = Line2D(
    [], [], ls="", marker="o", mfc="none", color="0.3", ms=6, label="best on test: no result"
)
CAPTION = (
    "Snapshots scored on the test images: mean over seeds, shaded their range. Filled: the last "
    "one, which is the result. Open: each seed's best one, where a test set chose the checkpoint; "
    "it is no result, and shows what such a choice gains."
)


class TrainingCurve(Report):
    """One panel per place, size and metric of the snapshots; one line per method."""

    order = 31

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where snapshots were scored."""
        scores = quality(rows.snapshots)
        if scores.empty:
            return
        looks, panels = styles(rows), []
        for _, column in scores.groupby("metric", sort=False):
            for place in places_by_size(rows, column):
                last = place.scores[place.scores["step"] == place.scores["step"].max()]
                notes = [seeds_note(place.entries, place.heading), *protocols(last, place.heading)]
                draw = partial(_curves, scores=place.scores, looks=looks)
                panels.append(Panel(place.heading, notes, draw))
        handles = legend(looks, scores["method"].unique(), LAST, BEST)
        yield from pages("training_curve", "Quality over training", CAPTION, panels, handles)


def _curves(axes: Axes, scores: pd.DataFrame, looks: dict[str, Style]) -> None:
    lower = scores["better"].iloc[0] == "lower"
    for method, look in looks.items():
        mine = scores[scores["method"] == method]
        if mine.empty:
            continue
        seeds = mine.pivot(index="step", columns="seed", values="value")
        mean_and_range(axes, seeds, look, 0, marker="")
        mean = seeds.mean(axis=1).tail(1)
        axes.plot(mean.index, mean, **look.curve(ls="", ms=5, gid="last"))
        ordered = mine.sort_values("value", ascending=lower, kind="stable")
        best = ordered.drop_duplicates("seed").sort_values("seed")
        axes.plot(best["step"], best["value"], **look.curve(ls="", ms=5, mfc="none", gid="best"))
    axes.set(xlabel="step", ylabel=titled(scores.iloc[0]))
    axes.grid(axis="y", lw=0.3)
