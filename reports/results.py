"""The papers' main table: size, cost, method, quality over seeds, gain over the student alone."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.report import Report, Rows, Table
from reports._format import ARROWS, SIZE, places, protocols, size, spread, unfinished

COSTS = {"params": ("#Params", 1e6, "M"), "macs": ("MACs", 1e9, "G")}

CAPTION = (
    "Mean ± standard deviation (n − 1) over seeds; a seed that is missing, failed or diverged is "
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
        scored = shown[shown["value"].notna()]
        columns = [m for m in scored["metric"].unique() if m not in COSTS]
        gained = _gained(rows, scored)
        header = ["Data", "Width", *(label for label, *_ in COSTS.values()), "Method"]
        for metric in columns:
            header.append(_heading(scored[scored["metric"] == metric].iloc[0]))
            header += ["Δ"] * (metric in gained)
        blocks, notes = [], []
        for heading, entries, scores in places(rows):
            ours = scores[scores["headline"]]
            notes += protocols(ours[ours["metric"].isin(columns)], heading)
            costs = _Costs(entries, ours)
            groups = list(entries.groupby(["role", *SIZE], sort=False))
            for number, ((role, width, judge), group) in enumerate(groups):
                block = []
                for method, seeds in group.groupby("method", sort=False):
                    first = not block
                    row = [heading if first and number == 0 else ""]
                    row.append(size(width, judge, rows) if first else "")
                    row += costs.of(seeds) if first else [""] * len(COSTS)
                    row.append(f"{method}{unfinished(seeds)}")
                    for metric in columns:
                        values = scores[scores["metric"] == metric]
                        row.append(_cell(values, seeds))
                        if metric in gained:
                            row.append(_gain(values, seeds, group) if role == "student" else "")
                    block.append(row)
                blocks.append(block)
        yield Table("results", "Results", CAPTION, header, blocks, notes)


class _Costs:
    """Parameters and MACs, with the ratio to the teacher's."""

    def __init__(self, entries: pd.DataFrame, scores: pd.DataFrame) -> None:
        self.scores = scores
        self.teacher = entries[entries["role"] == "teacher"]

    def of(self, seeds: pd.DataFrame) -> list[str]:
        return [self._one(metric, seeds) for metric in COSTS]

    def _one(self, metric: str, seeds: pd.DataFrame) -> str:
        mine, above = (_values(self.scores, metric, e) for e in (seeds, self.teacher))
        if mine.empty:
            return "—"
        _, unit, letter = COSTS[metric]
        text = f"{mine.iloc[0] / unit:.3f}{letter}"
        if above.empty or above.max() == mine.iloc[0]:
            return text
        return f"{text} ({above.max() / mine.iloc[0]:.2f}×)"


def _values(scores: pd.DataFrame, metric: str, entries: pd.DataFrame) -> pd.Series[float]:
    """Return the headline values of some entries, by seed."""
    found = scores[
        scores["headline"]
        & (scores["metric"] == metric)
        & scores["key"].isin(entries["key"])
        & scores["value"].notna()
    ]
    return found.drop_duplicates("key").set_index("seed")["value"].astype(float)


def _cell(scores: pd.DataFrame, seeds: pd.DataFrame) -> str:
    """Return one metric of one method: over seeds, or as measured once on the network."""
    mine = scores[scores["key"].isin(seeds["key"])]
    if mine.empty or mine["value"].isna().all():
        return "—"
    head = mine[mine["headline"]].iloc[0]
    values = _values(mine, head["metric"], seeds)
    if head["judges"] == "images":
        return spread(values, len(seeds), head["digits"])
    text = f"{head['value']:.{head['digits']}f}"
    quartiles = [mine.loc[mine["name"] == f"{head['name']}_{q}", "value"] for q in ("q1", "q3")]
    if not any(q.empty for q in quartiles):
        low, high = (f"{q.iloc[0]:.{head['digits']}f}" for q in quartiles)
        text += f" [{low}, {high}]"
    return text


def _gain(scores: pd.DataFrame, seeds: pd.DataFrame, group: pd.DataFrame) -> str:
    """Return the mean gain over the control, paired by seed."""
    control = group[group["is_control"]]
    if seeds["is_control"].all() or control.empty or scores.empty:
        return ""
    head = scores[scores["headline"]].iloc[0]
    mine, alone = (_values(scores, head["metric"], e) for e in (seeds, control))
    gains = (mine - alone).dropna() * (1 if head["better"] == "higher" else -1)
    return spread(gains, len(seeds), head["digits"], signed=True)


def _gained(rows: Rows, scored: pd.DataFrame) -> set[str]:
    """Return the metrics for which a gain over the student alone can be told."""
    if not rows.entries["is_control"].any() or rows.entries["method"].nunique() < 2:
        return set()
    ranked = scored[(scored["judges"] == "images") & (scored["better"] != "")]
    return set(ranked["metric"])


def _heading(score: pd.Series[str]) -> str:
    unit = f" [{score['unit']}]" if score["unit"] else ""
    return f"{score['label']}{unit}{ARROWS.get(score['better'], '')}"
