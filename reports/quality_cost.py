"""Quality against cost: what each method and width gives for multiply-adds, time, throughput."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from bench.contracts.report import Figure, Report, Rows
from reports._format import places, protocols, titled
from reports._select import (
    INTERVAL,
    finite,
    foremost,
    seeds_note,
    summary,
    widest_teacher,
)
from reports._style import Panel, Style, legend, log_x, pages, styles

Values = npt.NDArray[np.float64]

COSTS = {
    "macs": "MACs of the generator (C1)",
    "latency": "latency",
    "throughput": "throughput",  # the more, the cheaper: SD's Figure 6
}
TEACHER = Style("black", "p", "")
APART = 2  # points between methods at one cost
RING: dict[str, Any] = {"marker": "o", "ms": 9, "mfc": "none", "mew": 0.8, "color": "0.3"}
STEPS: dict[str, Any] = {"color": "0.3", "lw": 0.8, "ls": ":"}
FRONT = Line2D([], [], label="Pareto front", **{**RING, **STEPS})
CAPTION = (
    f"One point per method and width (the number above): mean over seeds, bars the {INTERVAL}. "
    "Rings and dotted steps: the Pareto front of the means, which no other point beats in both; "
    "where intervals overlap, it may be another. Methods at one cost stand side by side."
)


class QualityCost(Report):
    """MACs, latency or throughput on x, the foremost metric of quality on y."""

    order = 25

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where quality and a cost are known."""
        scores = foremost(rows.scores)
        if scores.empty:
            return
        costs = finite(rows.scores[rows.scores["headline"] & rows.scores["metric"].isin(COSTS)])
        looks, panels = {"teacher": TEACHER, **styles(rows)}, []
        for heading, entries, mine in places(replace(rows, scores=pd.concat([scores, costs]))):
            good = mine[~mine["metric"].isin(COSTS)]
            students = entries[entries["role"] == "student"]
            for judge, group in good[good["role"] == "student"].groupby("discriminator_width"):
                several = students["discriminator_width"].nunique() > 1
                title = heading + (f", D {judge}" if several else "")
                trained = students[students["discriminator_width"] == judge]
                points = pd.concat([widest_teacher(good), group])
                notes = [
                    *(seeds_note(g, f"{title}, width {w}") for w, g in trained.groupby("width")),
                    *protocols(good, heading),
                ]
                for metric, name in COSTS.items():
                    price = mine[mine["metric"] == metric].drop_duplicates("key")
                    found = points.merge(
                        price[["key", "value", "better"]], on="key", suffixes=("", "_cost")
                    )
                    if found.empty:
                        continue
                    unit = f" [{price['unit'].iloc[0]}]" if price["unit"].iloc[0] else ""
                    draw = partial(_points, found=found, looks=looks, cost=name + unit)
                    said = [*notes, *protocols(price, heading)]
                    panels.append(Panel(title, said, draw))
        handles = legend(looks, {*scores["method"], "teacher"}, FRONT)
        title = f"{scores['label'].iloc[0]} against cost"
        yield from pages("quality_cost", title, CAPTION, panels, handles)


def pareto(cost: Values, value: Values, better: str) -> npt.NDArray[np.bool_]:
    """Return which points no other point beats: as cheap and as good, and one of both strictly.

    Args:
        cost: [N], lower is better.
        value: [N].
        better: "higher" or "lower", of the value.
    """
    loss = -value if better == "higher" else value
    as_good = (cost <= cost[:, None]) & (loss <= loss[:, None])  # [i, j]: j is as good as i
    strictly = (cost < cost[:, None]) | (loss < loss[:, None])
    return np.array(~(as_good & strictly).any(axis=1))


def _points(axes: Axes, found: pd.DataFrame, looks: dict[str, Style], cost: str) -> None:
    """Draw means at their costs; those of one cost are moved apart on paper, not in value."""
    by = ["role", "method", "width"]
    table = summary(found, by).merge(found.groupby(by)["value_cost"].mean().reset_index(), on=by)
    costs, means = table["value_cost"].to_numpy(), table["mean"].to_numpy()
    is_cheap_low = found["better_cost"].iloc[0] != "higher"
    front = pareto(costs if is_cheap_low else -costs, means, found["better"].iloc[0])
    for bound in ("low", "high"):  # what is moved apart does not count for the limits
        axes.update_datalim(np.column_stack([costs, table[bound]]))
    for price in np.unique(costs):
        group = table[costs == price]
        for number, row in enumerate(group.index):
            look = looks[str(table["method"][row])]
            points = APART * (number - (len(group) - 1) / 2)
            moved = ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)
            at: dict[str, Any] = {"transform": axes.transData + moved}
            axes.vlines(price, table["low"][row], table["high"][row], look.colour, lw=0.8, **at)
            axes.plot(price, means[row], **look.curve(ls="", ms=4.5, **at))
            if front[row]:
                axes.plot(price, means[row], **RING, **at, gid="front")
        widths = ", ".join(str(width) for width in sorted(group["width"].unique()))
        place = (price, group["high"].max())
        axes.annotate(widths, place, (0, 6), textcoords="offset points", fontsize=8, ha="center")
    order = np.argsort(costs[front])
    axes.step(
        costs[front][order], means[front][order], where="post" if is_cheap_low else "pre", **STEPS
    )
    log_x(axes)
    axes.set(xlabel=cost, ylabel=titled(found.iloc[0]))
    axes.margins(x=0.15, y=0.15)
    axes.grid(lw=0.3)
