"""Quality by the size of the discriminator, in the manner of WKD's Figure 6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from reports._format import places, protocols, titled
from reports._select import INTERVAL, foremost, seeds_note, summary
from reports._style import Panel, Style, legend, pages, styles

CAPTION = (
    "Students of one width, trained against discriminators of several. Points are means over "
    f"seeds, bars the {INTERVAL}, side by side for methods at one width."
)


class DiscriminatorSize(Report):
    """Base channels of the discriminator on x, one line per method."""

    order = 45

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where a suite has several widths of discriminators."""
        scores = foremost(rows.scores)
        if scores.empty:
            return
        scores = scores[scores["role"] == "student"]
        looks = styles(rows)
        panels = []
        for heading, entries, mine in places(replace(rows, scores=scores)):
            for width, group in mine.groupby("width", sort=True):
                if group["discriminator_width"].nunique() < 2:
                    continue
                title = f"{heading}, width {width}"
                trained = entries[(entries["role"] == "student") & (entries["width"] == width)]
                notes = [
                    *(
                        seeds_note(seeds, f"{title}, D {judge}")
                        for judge, seeds in trained.groupby("discriminator_width")
                    ),
                    *protocols(group, heading),
                ]
                panels.append(Panel(title, notes, partial(_lines, scores=group, looks=looks)))
        handles = legend(looks, scores["method"].unique())
        title = f"{scores['label'].iloc[0]} by size of the discriminator"
        yield from pages("discriminator_size", title, CAPTION, panels, handles)


def _lines(axes: Axes, scores: pd.DataFrame, looks: dict[str, Style]) -> None:
    widths = sorted(scores["discriminator_width"].unique())
    found = summary(scores, ["method", "discriminator_width"])
    present = [method for method in looks if (found["method"] == method).any()]
    for number, method in enumerate(present):
        mine = found[found["method"] == method].sort_values("discriminator_width")
        apart = 0.3 * ((number + 0.5) / len(present) - 0.5)
        x = [widths.index(width) + apart for width in mine["discriminator_width"]]
        axes.plot(x, mine["mean"], **looks[method].curve())
        axes.vlines(x, mine["low"], mine["high"], color=looks[method].colour, lw=0.8)
    axes.set_xticks(range(len(widths)), [str(width) for width in widths])
    axes.set(xlabel="base channels of the discriminator", ylabel=titled(scores.iloc[0]))
    axes.grid(axis="y", lw=0.3)
