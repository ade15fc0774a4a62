"""The papers' main table: size, cost, method, quality over seeds, gain over the student alone."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.report import Report, Rows, Table
from reports._format import ARROWS, SIZE, holes, places, protocols, size, spread, unfinished

COSTS = {"params": ("#Params", 1e6, "M"), "macs": ("MACs", 1e9, "G")}

CAPTION = (
    "Mean ± standard deviation (n - 1) over seeds; a seed that is missing, failed or diverged is "
    "named, never averaged away. Δ is the gain over the student alone at the same seed and width, "
    "positive where better. Brackets after latency hold its quartiles. MACs are true "
    "multiply-adds (C1) of one generator. Nothing is bold: significance is not tested here."
)


class Results(Report):
    """One block per data set, architecture and width: the shape of WKD's Tables 1 and 2."""

    order = 10

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table once there is a score."""
        if rows.scores.empty:
            return
        shown = rows.scores[rows.scores["headline"]]
        columns = [metric for metric in shown["metric"].unique() if metric not in COSTS]
        gained = _gained(rows, shown)
        header = ["Data", "Width", *(label for label, *_ in COSTS.values()), "Method"]
        for metric in columns:
            header.append(_heading(shown[shown["metric"] == metric].iloc[0]))
            header += ["Δ"] * (metric in gained)
        blocks: list[list[list[str]]] = []
        notes: list[str] = []
        for heading, entries, scores in places(rows):
            quality = scores[scores["headline"] & scores["metric"].isin(columns)]
            notes += [*protocols(quality, heading), *holes(quality, heading)]
            for place, group in entries.groupby(["role", *SIZE], sort=False):
                first = [heading if group.index[0] == entries.index[0] else ""]
                first += [size(place[1], place[2], rows), *_costs(scores, group, entries)]
                blocks.append(_block(first, group, scores, columns, gained))
        yield Table("results", "Results", CAPTION, header, blocks, notes)


def _block(
    first: list[str],
    group: pd.DataFrame,
    scores: pd.DataFrame,
    columns: list[str],
    gained: set[str],
) -> list[list[str]]:
    """Return one row per method; what they share stands in the first."""
    block: list[list[str]] = []
    for method, seeds in group.groupby("method", sort=False):
        row = [*([""] * len(first) if block else first), f"{method}{unfinished(seeds)}"]
        for metric in columns:
            mine = scores[scores["metric"] == metric]
            row.append(_cell(mine, seeds))
            if metric in gained:
                row.append(_gain(mine, seeds, group))
        block.append(row)
    return block


def _costs(scores: pd.DataFrame, group: pd.DataFrame, entries: pd.DataFrame) -> list[str]:
    """Return parameters and MACs, with the ratio to the teacher's."""
    teachers = entries[entries["role"] == "teacher"]
    cells = []
    for metric, (_, unit, letter) in COSTS.items():
        column = scores[scores["metric"] == metric]
        mine, above = _values(column, group), _values(column, teachers)
        if mine.empty:
            cells.append("—")
            continue
        cost = mine.iloc[0] / unit
        text = f"{cost:.2f}{letter}" if cost >= 1 else f"{cost:.3g}{letter}"
        if not above.empty and above.max() != mine.iloc[0]:
            text += f" ({above.max() / mine.iloc[0]:.2f}×)"
        cells.append(text)
    return cells


def _values(column: pd.DataFrame, entries: pd.DataFrame) -> pd.Series[float]:
    """Return one metric's headline values of some entries, by seed."""
    mine = column[column["headline"] & column["key"].isin(entries["key"]) & column["value"].notna()]
    return mine.drop_duplicates("key").set_index("seed")["value"].astype(float)


def _cell(column: pd.DataFrame, seeds: pd.DataFrame) -> str:
    """Return one metric of one method: over seeds, or as measured once on the network."""
    values = _values(column, seeds)
    if values.empty:
        return "—"
    mine = column[column["key"].isin(seeds["key"])]
    head = mine[mine["headline"]].iloc[0]
    if head["judges"] == "images":
        return spread(values, len(seeds), head["digits"])
    text = f"{head['value']:.{head['digits']}f}"
    quartiles = [mine.loc[mine["name"] == f"{head['name']}_{q}", "value"] for q in ("q1", "q3")]
    if not any(quartile.empty for quartile in quartiles):
        low, high = (f"{quartile.iloc[0]:.{head['digits']}f}" for quartile in quartiles)
        text += f" [{low}, {high}]"
    return text


def _gain(column: pd.DataFrame, seeds: pd.DataFrame, group: pd.DataFrame) -> str:
    """Return the mean gain over the control, paired by seed."""
    control = group[group["is_control"]]
    if seeds["is_control"].all() or control.empty or column.empty:
        return ""
    gains = (_values(column, seeds) - _values(column, control)).dropna()
    sign = 1 if column["better"].iloc[0] == "higher" else -1
    return spread(sign * gains, len(seeds), column["digits"].iloc[0], signed=True)


def _gained(rows: Rows, shown: pd.DataFrame) -> set[str]:
    """Return the metrics for which a gain over the student alone can be told."""
    students = rows.entries[rows.entries["role"] == "student"]
    if not students["is_control"].any() or students["is_control"].all():
        return set()
    can = (shown["judges"] == "images") & (shown["better"] != "") & shown["value"].notna()
    return set(shown.loc[can, "metric"])


def _heading(score: pd.Series[str]) -> str:
    unit = f" [{score['unit']}]" if score["unit"] else ""
    return f"{score['label']}{unit}{ARROWS.get(score['better'], '')}"
