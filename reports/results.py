"""The papers' main table: size, cost, method, quality over seeds, gain over the student alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.contracts.report import Bold, Report, Rows, Table
from bench.contracts.verdict import NOT_TRAINED
from bench.maths.attainable import LEVEL, least_p, seeds_needed
from bench.maths.statistics import best
from reports._format import (
    SIZE,
    Note,
    as_entries,
    beside,
    by_seed,
    drawn,
    holes,
    marks,
    merged,
    named,
    origins,
    places,
    ports,
    protocols,
    size,
    spread,
    titled,
    tuned,
)

COSTS = {"params": ("#Params", 1e6, "M"), "macs": ("MACs", 1e9, "G")}

CAPTION = (
    "Mean ± standard deviation (n - 1) over seeds; a seed that is missing, failed, diverged or did "
    "not train is named, never averaged away. Brackets after latency hold its quartiles. MACs are "
    "true multiply-adds (C1) of one generator. Bold: the best mean of its block, from seeds that "
    f"all ended well, and better than every other method of the block at p ≤ {LEVEL} each "
    "(two-sided sign flips at common seeds; an intersection-union test, so without correction). "
    "Without such a method nothing is bold. Beside samples, a row of real images says what as many "
    "of them would score."
)
BRIEF = "Mean ± standard deviation over seeds."
BOLD = " Bold: significantly better than every other method."
GAINS = (
    "Gain over the student alone at the same seed and width, positive where better: mean ± "
    "standard deviation (n - 1) over seeds. Which gains are significant is said in the table of "
    "significance."
)


Block = list[list[str]]


class Results(Report):
    """One block per data set, architecture and width: the shape of WKD's Tables 1 and 2.

    The gain over the student alone has a table of its own, so that both fit a page.
    """

    order = 10

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the scores once there is one, and the gains once there is something to gain on."""
        if rows.scores.empty:
            return
        shown = rows.scores[rows.scores["headline"]]
        first = {str(m): scores.iloc[0] for m, scores in shown.groupby("metric", sort=False)}
        wanted = [metric for metric in first if metric not in COSTS]
        scored = set(shown.loc[shown["value"].notna(), "metric"])  # the others are named beneath
        columns = [m for m in wanted if m in scored - _without_headline(rows.scores)]
        gained = [metric for metric in columns if metric in _gained(rows, shown)]
        blocks: list[Block] = []
        gains: list[Block] = []
        notes: list[Note | str] = []
        for heading, entries, scores in places(rows):
            quality = scores[scores["headline"] & scores["metric"].isin(wanted)]
            notes += [*protocols(quality, heading), *holes(quality, heading)]
            notes += tuned(entries, heading)
            for place, group in entries.groupby(["role", *SIZE], sort=False):
                where = heading if group.index[0] == entries.index[0] else ""
                width = size(place[1], place[2], rows)
                mine = scores[scores["key"].isin(group["key"])]
                found = {str(metric): column for metric, column in mine.groupby("metric")}
                cells = [_cells(found.get(metric), group) for metric in columns]
                if place[0] not in ("student", "teacher") and not any(cells):
                    continue  # a network that judges, without a score of its own here
                costs = _costs(scores, group, entries)
                blocks.append(_block([where, width, *costs], group, cells))
                if group["is_control"].any() and not group["is_control"].all():
                    differences = [_gains(found.get(metric), group) for metric in gained]
                    students = group[~group["is_control"]]
                    gains.append(_block([heading, width], students, differences))
            floor = beside(rows, entries, quality)
            if len(floor):
                of_metric = {str(metric): column for metric, column in floor.groupby("metric")}
                real = as_entries(floor, entries)
                cells = [_cells(of_metric.get(metric), real) for metric in columns]
                blocks.append(_block(["", "—", *("—" for _ in COSTS)], real, cells))
                notes += drawn(floor, heading)
        header = ["Data", "Width", *(label for label, *_ in COSTS.values()), "Method"]
        if (rows.entries["status"] == NOT_TRAINED).any():
            notes.append('Why runs are not trained, and their scores, stand under "Not trained".')
        notes += [*ports(rows.entries), *origins(rows.entries), *_too_few(rows)]
        header += [titled(first[m]) for m in columns]
        has_bold = any(isinstance(c, Bold) for block in blocks for row in block for c in row)
        brief = BRIEF + BOLD * has_bold
        yield Table("results", "Results", CAPTION, header, blocks, merged(notes), brief)
        if gained and gains:
            header = [
                "Data",
                "Width",
                "Method",
                *(f"Δ {named(first[metric])}" for metric in gained),
            ]
            yield Table(
                "gains",
                "Gains over the student alone",
                GAINS,
                header,
                gains,
                ports(rows.entries),
                "Mean ± standard deviation over seeds; positive is better.",
            )


def _without_headline(scores: pd.DataFrame) -> set[str]:
    """Return the metrics of several values, none of which stands for all: they have no column.

    Where such a metric could not be had, its row looks like that of a single value.
    """
    measured = scores[scores["reason"] == ""]
    return set(measured["metric"]) - set(measured.loc[measured["headline"], "metric"])


def _block(first: list[str], group: pd.DataFrame, columns: list[dict[str, str]]) -> Block:
    """Return one row per method; what they share stands in the first."""
    block: Block = []
    for method, seeds in group.groupby("method", sort=False):
        shared = [""] * len(first) if block else first
        cells = [column.get(str(method), "—") for column in columns]
        block.append([*shared, f"{method}{marks(seeds)}", *cells])
    return block


def _cells(scores: pd.DataFrame | None, group: pd.DataFrame) -> dict[str, str]:
    """Return one metric of each method: over seeds, or as measured once on the network."""
    if scores is None:
        return {}
    values = by_seed(scores[scores["headline"]], group)
    head = scores[scores["headline"]].iloc[0]
    if head["judges"] != "images":
        return {str(m): _measured(scores, head) for m in values if values[m].notna().any()}
    values = values.where(np.isfinite(values))  # infinite: lost, and the count of seeds says so
    seeds = group["method"].value_counts().to_dict()
    cells = {str(m): spread(values[m].dropna(), seeds[m], head["digits"]) for m in values}
    is_tested = head["better"] and not (group["role"] == "given").any()
    winner = best(values, head["better"]) if is_tested else None
    if winner and values[winner].notna().all():
        cells[winner] = Bold(cells[winner])
    return cells


def _measured(scores: pd.DataFrame, head: pd.Series[str]) -> str:
    """Return a network's value, with its quartiles where they were taken."""
    values = scores.drop_duplicates("name").set_index("name")["value"]
    text, *quartiles = (
        f"{values[name]:.{head['digits']}f}"
        for name in (head["name"], f"{head['name']}_q1", f"{head['name']}_q3")
        if name in values
    )
    return f"{text} [{', '.join(quartiles)}]" if quartiles else text


def _gains(scores: pd.DataFrame | None, group: pd.DataFrame) -> dict[str, str]:
    """Return each method's gain over the control in one metric, paired by seed."""
    if scores is None:
        return {}
    head = scores[scores["headline"]].iloc[0]
    values = by_seed(scores[scores["headline"]], group)
    values = values.where(np.isfinite(values))
    control = values[group.loc[group["is_control"], "method"].iloc[0]]
    sign = 1 if head["better"] == "higher" else -1
    seeds = group["method"].value_counts().to_dict()
    gains = {str(m): (sign * (values[m] - control)).dropna() for m in values}
    return {m: spread(gain, seeds[m], head["digits"], signed=True) for m, gain in gains.items()}


def _too_few(rows: Rows) -> list[str]:
    """Say so where the number of seeds alone keeps everything from being significant."""
    students = rows.entries[rows.entries["role"] == "student"]
    done = students[students["status"] == "done"]
    if done.empty or students["method"].nunique() < 2:
        return []
    axes = ["dataset", "architecture", "method", *SIZE]
    n = int(done.groupby(axes)["seed"].nunique().max())
    if least_p(n) <= LEVEL:
        return []
    seeds = f"{n} seeds" if n > 1 else "one seed"
    found = f"Nothing can be bold: the smallest p that {seeds} can give is {least_p(n):.2g}"
    return [f"{found}; {seeds_needed(1)} seeds can give {least_p(seeds_needed(1)):.2g}."]


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


def _gained(rows: Rows, shown: pd.DataFrame) -> set[str]:
    """Return the metrics for which a gain over the student alone can be told."""
    students = rows.entries[rows.entries["role"] == "student"]
    if not students["is_control"].any() or students["is_control"].all():
        return set()
    can = (shown["judges"] == "images") & (shown["better"] != "") & shown["value"].notna()
    return set(shown.loc[can, "metric"])
