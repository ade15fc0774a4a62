"""One method against another, place by place: quality, how sure, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.errors import ReportError, unknown
from bench.report import Bold, Rows, Table
from bench.statistics import LEVEL, Comparison, compare, holm, least_p, seeds_needed

PLACE = ["dataset", "direction", "architecture", "width", "discriminator_width"]


@dataclass(frozen=True)
class Line:
    """Two methods in one metric at one place, or on the mean over all places."""

    place: str
    metric: str
    label: str
    unit: str
    digits: int
    new: float  # mean at common seeds
    base: float
    found: Comparison
    p_holm: float  # over the places; the mean over them is one question and needs no correction
    verdict: str  # "better", "worse", "no difference shown", "too few seeds (6 needed)", "no pair"


@dataclass(frozen=True)
class Cost:
    """What a method costs at one place, beside the other one."""

    place: str
    what: str
    unit: str
    new: float
    base: float


def compare_methods(
    rows: Rows, new: str, base: str, metrics: Sequence[str] = ()
) -> tuple[list[Line], list[Cost]]:
    """Compare two methods of a suite in some metrics, or in all that have a better side.

    Args:
        rows: of the suite.
        new: the name of a row of the suite's methods.
        base: of another.
        metrics: names of metrics of images.

    Raises:
        ReportError: there is no such method or metric, or no pair of finished runs.
    """
    students = rows.entries[rows.entries["role"] == "student"]
    for name in (new, base):
        known = students["method"].unique()
        if name not in known:
            told = unknown("method", name, known, rows.suite)
            raise ReportError(
                f"{told} To add a distiller, give `run` and `compare` --set 'methods.{name}={{}}'."
            )
    mine = rows.scores
    if not mine.empty:
        mine = mine[mine["headline"] & mine["method"].isin([new, base]) & mine["value"].notna()]
        mine = mine[mine["role"] == "student"]
    judged = mine if mine.empty else mine[(mine["judges"] == "images") & (mine["better"] != "")]
    found = [] if judged.empty else list(judged["metric"].unique())
    for name in metrics:
        if name not in found:
            raise ReportError(unknown("metric", name, found, f"{rows.suite}, {new} and {base}"))
    lines = [
        line
        for metric in metrics or found
        for line in _lines(judged[judged["metric"] == metric], new, base)
    ]
    if not any(line.found.n for line in lines):
        raise ReportError(
            f"{rows.suite}: {new} and {base} have no scores at a common seed; "
            "`distillbench status` says how their cells stand."
        )
    return lines, list(_costs(students, mine, new, base))


def _lines(column: pd.DataFrame, new: str, base: str) -> Iterator[Line]:
    """Yield one metric's places and, where there are several, their mean."""
    head = column.iloc[0]
    pairs: dict[str, pd.DataFrame] = {}
    for axes, group in column.groupby(PLACE, sort=False):
        values = group.pivot(index="seed", columns="method", values="value").astype(float)
        pairs[_said(axes)] = values.reindex(columns=[new, base])
    found = {p: compare(table[new], table[base], head["better"]) for p, table in pairs.items()}
    for (place, c), after in zip(found.items(), holm([c.p for c in found.values()]), strict=True):
        n = max(c.n for c in found.values())
        yield _line(place, pairs[place], c, float(after), n, len(pairs), head, (new, base))
    if len(pairs) > 1:
        whole = pd.concat([table.dropna() for table in pairs.values()]).groupby("seed")
        mean = whole.mean()[whole.size() == len(pairs)]
        c = compare(mean[new], mean[base], head["better"])
        yield _line(f"mean of {len(pairs)}", mean, c, c.p, c.n, 1, head, (new, base))


def _line(
    place: str,
    values: pd.DataFrame,
    found: Comparison,
    p: float,
    most: int,
    tests: int,
    head: pd.Series[str],
    names: tuple[str, str],
) -> Line:
    """Return a line with its verdict; `most` is the largest number of pairs of all `tests`."""
    if not found.n:
        verdict = "no pair"
    elif p <= LEVEL:
        verdict = "better" if found.mean > 0 else "worse"
    elif max(least_p(found.n), tests * least_p(most)) > LEVEL:
        verdict = f"too few seeds ({seeds_needed(tests)} needed)"
    else:
        verdict = "no difference shown"
    new, base = values.dropna()[list(names)].mean()
    told = (str(head["metric"]), str(head["label"]), str(head["unit"]), int(head["digits"]))
    return Line(place, *told, float(new), float(base), found, p, verdict)


def _costs(students: pd.DataFrame, scores: pd.DataFrame, new: str, base: str) -> Iterator[Cost]:
    """Yield what networks cost, and the time of training at seeds that share a device.

    Cells that were trained in one cohort share its time equally, which tells nothing: they are
    left out.
    """
    if not scores.empty:
        networks = scores[scores["judges"] == "network"]
        for place, group in networks.groupby([*PLACE, "metric"], sort=False):
            values = group.drop_duplicates("method").set_index("method")["value"]
            if {new, base} <= set(values.index):
                head = group.iloc[0]
                pair = (float(values[new]), float(values[base]))
                yield Cost(_said(place[:-1]), head["label"], head["unit"], *pair)
    done = students[(students["status"] == "done") & students["training_s"].notna()]
    axes = ["dataset", "architecture", "width", "discriminator_width"]
    for place, group in done.groupby(axes, sort=False):
        table = group.pivot(index=["seed", "device"], columns="method", values="training_s")
        table = table.reindex(columns=[new, base]).dropna().astype(float)
        table = table[table[new] != table[base]]
        if len(table):
            where = (place[0], "", *place[1:])
            yield Cost(_said(where), "training", "s", *table.mean().tolist())


def _said(place: Sequence[object]) -> str:
    dataset, direction, architecture, width, judge = place
    return f"{dataset} {direction}".strip() + f", {architecture}, width {width} (D {judge})"


def quality_table(lines: Sequence[Line], new: str, base: str) -> Table:
    """Return the comparison as a table."""
    block = []
    for line in lines:
        c, digits = line.found, line.digits
        label = f"{line.label} [{line.unit}]" if line.unit else line.label
        row = [line.place, label, f"{line.new:.{digits}f}", f"{line.base:.{digits}f}"]
        interval = f"[{c.low:+.{digits}f}, {c.high:+.{digits}f}]" if c.n > 1 else "—"
        row += [f"{c.mean:+.{digits}f}", interval, str(c.n), f"{line.p_holm:.4f}"]
        decided = line.verdict in ("better", "worse")
        block.append([*row, Bold(line.verdict) if decided else line.verdict])
    caption = (
        "A gain is positive where it is better; its mean over common seeds (n), with the bootstrap "
        f"interval. Better or worse: p ≤ {LEVEL} by sign flips, two-sided, after Holm over the "
        "places; the mean over the places is one question and stands alone."
    )
    head = ["Data", "Metric", new, base, "Gain", "95 % interval", "n", "p (Holm)", "Verdict"]
    return Table("compare", f"{new} against {base}", caption, head, [block])


def cost_table(costs: Sequence[Cost], new: str, base: str) -> Table:
    """Return what both cost as a table."""
    block = [
        [
            cost.place,
            cost.what,
            *(f"{value:,.4g} {cost.unit}".rstrip() for value in (cost.new, cost.base)),
            f"{cost.new / cost.base:.2f}×" if cost.base else "—",
        ]
        for cost in costs
    ]
    caption = (
        "Training: mean over the seeds at which both ran on one kind of device. Methods that were "
        "trained in one cohort share its time equally, so those seeds are left out."
    )
    return Table("cost", "What it costs", caption, ["Data", "Cost", new, base, "Ratio"], [block])
