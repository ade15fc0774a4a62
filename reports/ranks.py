"""Methods ranked over data sets, with the critical difference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from bench.contracts.report import Figure, Report, Rows, Table
from bench.contracts.verdict import NOT_TRAINED
from bench.maths.attainable import LEVEL
from bench.maths.statistics import Ranks, ranks
from reports._format import SIZE, by_seed, judged, p_value, places, ports, size
from reports._style import COLUMN, PAGE, shown

TITLE = "Mean ranks over data sets"
CAPTION = (
    "In each data set, architecture and direction the methods are ranked by their mean over the "
    "seeds that all of them have; 1 is best, ties share a rank. Friedman's test asks whether the "
    "methods differ at all. Two methods differ significantly where their mean ranks are further "
    f"apart than the critical difference (Nemenyi, level {LEVEL}; Demšar, JMLR 2006). Directions "
    "of one data set are not independent, which makes these tests optimistic there; few data "
    "sets make them blind."
)
BRIEF = "1 is best; ranks differ if a critical difference apart."
BARS = "Bars are half a critical difference to each side: methods whose bars do not meet differ."


class Ranked(NamedTuple):
    """One metric at one size."""

    width: str
    heading: str  # of the metric
    ranks: Ranks
    left_out: list[str]  # methods without a score somewhere
    apart: list[str]  # places without a seed that all of their methods have


class MeanRanks(Report):
    """One block per width; where a suite has two places and three methods at least."""

    order = 16

    def make(self, rows: Rows) -> Iterator[Table | Figure]:
        """Yield the table and the plot of the critical difference."""
        if rows.entries.loc[rows.entries["role"] == "student", "method"].nunique() < 3:
            return
        every = list(by_metric(rows))
        found = [ranked for ranked in every if not math.isnan(ranked.ranks.critical)]
        apart = [ranked for ranked in every if ranked.apart]
        if not (found or apart):
            return
        notes = [
            f"{', '.join(ranked.left_out)} at width {ranked.width}: not ranked by "
            f"{ranked.heading}, for want of scores in some place."
            for ranked in found
            if ranked.left_out
        ]
        notes += [
            f"{'; '.join(ranked.apart)}, at width {ranked.width}: not in the ranks by "
            f"{ranked.heading}, as no seed has a score of every method."
            for ranked in apart
        ]
        notes += _untrained(rows)
        idle = ""
        reach = max((len(r.ranks.mean) - 1 - r.ranks.critical for r in found), default=1.0)
        if reach <= 0:
            notes.append("So few places cannot show any difference: see the critical difference.")
            idle = "of so few places that none can differ"
        notes += ports(rows.entries)
        yield Table("ranks", TITLE, CAPTION, *_table(found), notes, BRIEF, "Metric", idle)
        if found:
            yield Figure("ranks", TITLE, f"{CAPTION} {BARS}", _draw(found), notes)


def _untrained(rows: Rows) -> Iterator[str]:
    """Name the seeds that ranks are without as they did not train."""
    entries = rows.entries
    lost = entries[(entries["status"] == NOT_TRAINED) & (entries["role"] == "student")]
    axes = ["dataset", "architecture", *SIZE, "method"]
    for (dataset, architecture, width, judge, method), group in lost.groupby(axes, sort=False):
        where = f"{dataset}, {architecture}, at width {size(width, judge, rows)}"
        seeds = f"seed{'s' * (len(group) > 1)} {', '.join(map(str, group['seed']))}"
        yield f"{method}, {where}: without {seeds}, not trained."


def by_metric(rows: Rows) -> Iterator[Ranked]:
    """Yield every metric's ranks, width by width."""
    means: dict[tuple[str, str], list[pd.Series[float]]] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    sides: dict[str, tuple[str, str]] = {}
    for heading, entries, scores in places(rows):
        students = entries[entries["role"] == "student"]
        names = {m: f"{m} †" for m in students.loc[students["port"] != "", "method"]}
        for (width, judge), group in students.groupby(SIZE, sort=True):
            for metric, column in judged(scores, group):
                scored = by_seed(column, group)
                values = scored.dropna(axis=1, how="all").dropna()
                key = (size(width, judge, rows), metric)
                means.setdefault(key, [])
                if len(values):
                    means[key].append(values.mean().reindex(scored.columns).rename(index=names))
                else:
                    apart.setdefault(key, []).append(heading)
                sides[metric] = (column["label"].iloc[0], column["better"].iloc[0])
    for (width, metric), found in means.items():
        table = pd.DataFrame(found)
        whole = table.dropna(axis=1)
        heading, better = sides[metric]
        left_out = [str(name) for name in table.columns.difference(whole.columns)]
        without = apart.get((width, metric), [])
        several = len(found) + len(without) > 1
        yield Ranked(width, heading, ranks(whole, better), left_out, without if several else [])


def _table(found: list[Ranked]) -> tuple[list[str], list[list[list[str]]]]:
    """Return header and blocks: a column per method, a row per metric."""
    names = list(dict.fromkeys(name for ranked in found for name in ranked.ranks.mean.index))
    header = ["Width", "Metric", *map(str, names), "Critical difference", "Friedman p", "Places"]
    blocks: dict[str, list[list[str]]] = {}
    for width, heading, of, *_ in found:
        block = blocks.setdefault(width, [])
        cells = [f"{of.mean[name]:.2f}" if name in of.mean else "—" for name in names]
        start = ["" if block else width, heading]
        block.append([*start, *cells, f"{of.critical:.2f}", p_value(of.p), str(of.n)])
    return header, list(blocks.values())


def _draw(found: list[Ranked]) -> Drawing:
    """Return one panel per metric and width, the best method on top."""
    across = min(2, len(found))
    down = math.ceil(len(found) / across)
    most = max(len(ranked.ranks.mean) for ranked in found)
    width = PAGE if across > 1 else COLUMN
    tall = 0.24 * most + 0.9
    drawing, axes = plt.subplots(
        down, across, figsize=(width, tall * down), squeeze=False, layout="constrained"
    )
    for axis, ranked in zip(axes.flat, found, strict=False):
        _panel(axis, ranked)
        axis.set_xlim(0.75, most + 0.25)  # a bar that goes on says no more
        axis.set_xticks(range(1, most + 1))
    for axis in axes.flat[len(found) :]:
        axis.remove()
    return drawing


def _panel(axis: Axes, ranked: Ranked) -> None:
    of = ranked.ranks
    mean = of.mean.sort_values(kind="stable")
    rows = range(len(mean))
    axis.errorbar(
        mean, rows, xerr=of.critical / 2, fmt="o", ms=4.5, color="#0072B2", ecolor="#56B4E9", lw=2.5
    )
    axis.set_yticks(rows, [shown(str(name), 18) for name in mean.index], fontsize=8)
    axis.invert_yaxis()
    axis.set_title(f"{ranked.heading}, width {ranked.width}", fontsize=9)
    axis.set_xlabel(f"mean rank of {of.n} places; Friedman p {p_value(of.p)}", fontsize=8)
    axis.tick_params("x", labelsize=8)
    axis.grid(axis="x", lw=0.4, color="#cccccc")
    axis.spines[["top", "right"]].set_visible(False)
