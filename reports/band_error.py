"""Error per frequency band, as a figure in the manner of WKD's Figure 1 and as its table."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from bench.report import Figure, Report, Rows, Table
from reports._format import SIZE, places, protocols, size, spread, unfinished

Found = list[tuple[str, pd.DataFrame, pd.DataFrame]]  # heading, entries, scores
MARKERS = "osD^vP*X"

TITLE = "Error by frequency band"
SPREAD = "Points are means over seeds, bars their range; dashed: the teacher."
CAPTION = (
    "Normalised L1 distance to the ground truth per band of a 3-level Haar transform (0 is "
    "perfect, 1 is an output without that band), LL3 coarsest. First letter: along the width, "
    "second: along the height, L low and H high pass."
)


class BandErrors(Report):
    """Bands on x, one line per method or width."""

    order = 20

    def make(self, rows: Rows) -> Iterator[Table | Figure]:
        """Yield the figure and the table where band errors were scored."""
        if rows.scores.empty:
            return
        found = [
            (heading, entries, scores[(scores["metric"] == "band_error") & scores["value"].notna()])
            for heading, entries, scores in places(rows)
        ]
        found = [(heading, entries, scores) for heading, entries, scores in found if len(scores)]
        if not found:
            return
        notes = [note for heading, _, scores in found for note in protocols(scores, heading)]
        yield Figure("band_error", TITLE, f"{CAPTION} {SPREAD}", _draw(found), notes)
        yield _table(rows, found, notes)


def _draw(found: Found) -> Drawing:
    """Return one panel per place and student width."""
    panels = [
        (f"{heading}, width {width}", scores, group)
        for heading, _, scores in found
        for width, group in scores[scores["role"] == "student"].groupby("width", sort=True)
    ]
    drawing, axes = plt.subplots(
        1, len(panels), figsize=(5.4 * len(panels), 3.6), squeeze=False, layout="constrained"
    )
    for axis, (title, scores, students) in zip(axes[0], panels, strict=True):
        _panel(axis, students, scores[scores["role"] == "teacher"])
        axis.set_title(title, fontsize=10)
    return drawing


def _panel(axis: Axes, students: pd.DataFrame, teachers: pd.DataFrame) -> None:
    methods = list(students["method"].unique())
    sns.pointplot(
        students.assign(value=students["value"].astype(float)),
        x="name",
        y="value",
        hue="method",
        hue_order=methods,
        palette=sns.color_palette("colorblind", len(methods)),
        markers=[MARKERS[i % len(MARKERS)] for i in range(len(methods))],
        errorbar=("pi", 100),
        dodge=0.35 if len(methods) > 1 else False,
        linewidth=1.2,
        markersize=4,
        ax=axis,
    )
    if len(teachers):
        means = teachers.groupby("name", sort=False)["value"].mean()
        axis.plot(
            list(means.index),
            means.to_numpy(dtype=float),
            color="0.45",
            lw=1.2,
            ls="--",
            label="teacher",
            zorder=1,
        )
    axis.set(xlabel="frequency band", ylabel="normalised L1 error", ylim=(0, None))
    axis.grid(axis="y", lw=0.4)
    axis.legend(fontsize=8, frameon=False)


def _table(rows: Rows, found: Found, notes: list[str]) -> Table:
    bands = list(dict.fromkeys(name for _, _, scores in found for name in scores["name"]))
    blocks = []
    for heading, entries, scores in found:
        block: list[list[str]] = []
        groups = entries.groupby(["role", *SIZE, "method"], sort=False)
        for (_, width, judge, method), seeds in groups:
            mine = scores[scores["key"].isin(seeds["key"])].drop_duplicates(["key", "name"])
            cells = [
                spread(mine.loc[mine["name"] == band, "value"].astype(float), len(seeds), 2)
                for band in bands
            ]
            first = heading if not block else ""
            block.append([first, size(width, judge, rows), f"{method}{unfinished(seeds)}", *cells])
        blocks.append(block)
    return Table(
        "band_error",
        f"{TITLE}, in numbers",
        CAPTION,
        ["Data", "Width", "Method", *bands],
        blocks,
        notes,
    )
