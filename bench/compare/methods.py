"""One method against another, or several, place by place: quality, how sure, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.compare.accepted import judged
from bench.compare.over_images import Kept, OverImages
from bench.contracts.report import Rows
from bench.errors import ReportError, unknown
from bench.maths.attainable import LEVEL, least_holm_p, least_p, seeds_needed
from bench.maths.statistics import Comparison, compare, holm

PLACE = ["dataset", "direction", "architecture", "width", "discriminator_width"]


@dataclass(frozen=True)
class Line:
    """Two methods in one metric at one place, or on the mean over all places."""

    place: str
    against: str  # the other method
    metric: str
    label: str
    unit: str
    digits: int
    new: float  # mean at common seeds
    base: float
    found: Comparison
    seeds: int  # that both should have
    lost: dict[str, dict[str, int]]  # method -> status -> seeds without a score
    image_error: float  # sampling error over test images of the difference; nan where unknown
    over_images: OverImages | None  # what it is computed from
    is_mean: bool = False  # over all places
    p_holm: float = math.nan  # over the places and the other methods, see `_corrected`
    verdict: str = ""  # "better", "worse", "no difference shown", "no pair", "too few seeds (...)"

    @property
    def is_told_apart(self) -> bool:
        """Whether the difference is not smaller than its sampling error over images."""
        return not abs(self.found.mean) < self.image_error


@dataclass(frozen=True)
class Cost:
    """What a method costs at one place, beside the other one."""

    place: str
    against: str
    what: str
    unit: str
    new: float
    base: float
    comparable: bool = True  # whether the ratio of the two says anything


class _Pairs(NamedTuple):
    """Two methods' values at one place, and why some are not there."""

    values: pd.DataFrame  # [seeds, (new, base)]; nan where there is no finite score
    lost: pd.DataFrame  # likewise: the status of those, nan elsewhere
    over_images: OverImages | None = None


def compare_methods(
    rows: Rows,
    new: str,
    bases: Sequence[str],
    metrics: Sequence[str] = (),
    kept: Kept | None = None,
) -> tuple[list[Line], list[Cost]]:
    """Compare a method of a suite with others in some metrics, or in all that have a better side.

    Args:
        rows: of the suite.
        new: the name of a row of the suite's methods.
        bases: of others; lines of one place and metric follow each other in this order.
        metrics: names of metrics of images.
        kept: what errors over images are computed from; none: they stay unknown.

    Raises:
        Damaged: what is kept of a cell cannot be read.
        ReportError: there is no such method or metric, or no pair of finished runs.
    """
    if new in bases:
        raise ReportError(f"{new} against itself is no comparison: name another method after --to.")
    students = rows.entries[rows.entries["role"] == "student"]
    for name in (new, *bases):
        known = students["method"].unique()
        if name not in known:
            told = unknown("method", name, known, rows.suite)
            raise ReportError(
                f"{told} To add a distiller, give `run` and `compare` --set 'methods.{name}={{}}'."
            )
    lines, costs = list[Line](), list[Cost]()
    for base in bases:
        mine = rows.scores
        if not mine.empty:
            mine = mine[mine["headline"] & mine["method"].isin([new, base]) & mine["value"].notna()]
            mine = mine[mine["role"] == "student"]
        lines += _lines(rows.suite, mine, students, (new, base), metrics, kept)
        costs += _costs(students, mine, new, base)
    if not any(line.found.n for line in lines):
        raise ReportError(
            f"{rows.suite}: {new} and {' or '.join(bases)} have no scores at a common seed; "
            "`distillbench status` says how their cells stand."
        )
    return _corrected(lines), costs


def _corrected(lines: Sequence[Line]) -> list[Line]:
    """Return lines with p after Holm, and their verdicts.

    The family of a metric is all its places against all other methods; the means over the places,
    one for each other method, are another.
    """
    families: dict[tuple[str, bool], list[Line]] = {}
    for line in lines:
        families.setdefault((line.metric, line.is_mean), []).append(line)
    found: dict[tuple[str, str], list[Line]] = {}
    for family in families.values():
        adjusted = holm([line.found.p for line in family])
        most, tests = max(x.found.n for x in family), sum(x.found.n > 0 for x in family)
        for line, p in zip(family, adjusted, strict=True):
            said = _verdict(line, float(p), most, tests)
            corrected = replace(line, p_holm=float(p), verdict=said)
            found.setdefault((line.metric, line.place), []).append(corrected)
    return [line for together in found.values() for line in together]


def _verdict(line: Line, p: float, most: int, tests: int) -> str:
    """Return what a comparison says at p; `most` is the largest number of pairs of all `tests`."""
    lost_new, lost_base = line.lost.values()
    if not line.found.n:
        return "no pair"
    if p <= LEVEL:
        said, losses = ("better", lost_new) if line.found.mean > 0 else ("worse", lost_base)
        return said + " among survivors" * bool(losses)
    if max(least_p(line.found.n), least_holm_p(most, tests)) > LEVEL:
        return f"too few seeds ({seeds_needed(tests)} needed)"
    return "no difference shown"


def _lines(
    suite: str,
    scores: pd.DataFrame,
    students: pd.DataFrame,
    names: tuple[str, str],
    metrics: Sequence[str],
    kept: Kept | None,
) -> list[Line]:
    """Return the lines of two methods, not yet corrected."""
    judged = scores
    if not scores.empty:
        judged = scores[(scores["judges"] == "images") & (scores["better"] != "")]
    found = [] if judged.empty else list(judged["metric"].unique())
    new, base = names
    for name in metrics:
        if name not in found:
            raise ReportError(unknown("metric", name, found, f"{suite}, {new} and {base}"))
    return [
        line
        for metric in metrics or found
        for line in _of_metric(judged[judged["metric"] == metric], students, names, kept)
    ]


def _of_metric(
    column: pd.DataFrame, students: pd.DataFrame, names: tuple[str, str], kept: Kept | None
) -> Iterator[Line]:
    """Yield one metric's places and, where there are several, their mean."""
    head = column.iloc[0]
    places = dict(_places(column, students[students["method"].isin(names)], names, kept))
    for place, pairs in places.items():
        yield _line(place, pairs, head)
    if len(places) > 1:
        whole = pd.concat([pairs.values.dropna() for pairs in places.values()]).groupby("seed")
        every = pd.concat([pairs.lost for pairs in places.values()]).groupby("seed").first()
        mean = whole.mean()[whole.size() == len(places)].reindex(every.index)
        yield replace(_line(f"mean of {len(places)}", _Pairs(mean, every), head), is_mean=True)


def _places(
    column: pd.DataFrame, entries: pd.DataFrame, names: tuple[str, str], kept: Kept | None
) -> Iterator[tuple[str, _Pairs]]:
    """Yield every place that should have the metric, those where every run was lost included."""
    axes = [axis for axis in PLACE if axis != "direction"]
    for (dataset, network, width, judge), group in entries.groupby(axes, sort=False):
        same = column[(column["dataset"] == dataset) & (column["architecture"] == network)]
        if same.empty and (group["status"] == "done").any():
            continue  # the metric does not judge such data
        status = group.pivot(index="seed", columns="method", values="status")
        status = status.reindex(columns=list(names)).replace("done", "not scored")
        here = same[(same["width"] == width) & (same["discriminator_width"] == judge)]
        for direction in same["direction"].unique() if len(same) else [""]:
            scored = here[here["direction"] == direction]
            values, keys = (
                scored.pivot(index="seed", columns="method", values=what).reindex(
                    index=status.index, columns=list(names)
                )
                for what in ("value", "key")
            )
            values = values.astype(float)
            values = values.where(np.isfinite(values))
            lost = status.fillna("missing").where(values.isna())
            over_images = None
            if kept and len(scored):
                common = keys[values.notna().all(axis=1)]
                pairs = list(common.itertuples(index=False, name=None))
                score = scored.iloc[0]
                over_images = kept.between(score["metric"], score["name"], direction, pairs)
            place = _said((dataset, direction, network, width, judge))
            yield place, _Pairs(values, lost, over_images)


def _line(place: str, pairs: _Pairs, head: pd.Series[str]) -> Line:
    """Return a line, not yet corrected."""
    lost = {
        str(name): {str(status): n for status, n in seeds.value_counts().items()}
        for name, seeds in pairs.lost.items()
    }
    new, base = (pairs.values[name] for name in pairs.values)
    means = pairs.values.dropna().mean()
    over_images = pairs.over_images
    return Line(
        place=place,
        against=str(base.name),
        metric=str(head["metric"]),
        label=str(head["label"]),
        unit=str(head["unit"]),
        digits=int(head["digits"]),
        new=float(means.iloc[0]),
        base=float(means.iloc[1]),
        found=compare(new, base, head["better"]),
        seeds=len(pairs.values),
        lost=lost,
        image_error=over_images.error if over_images else math.nan,
        over_images=over_images,
    )


def _costs(students: pd.DataFrame, scores: pd.DataFrame, new: str, base: str) -> Iterator[Cost]:
    """Yield what networks cost, and the time of training at seeds that share a device.

    A cell's time is its share of its cohort's, and cohorts differ in size: no ratio is of that.
    """
    if not scores.empty:
        networks = scores[scores["judges"] == "network"]
        for place, group in networks.groupby([*PLACE, "metric"], sort=False):
            values = group.drop_duplicates("method").set_index("method")["value"]
            if {new, base} <= set(values.index):
                head = group.iloc[0]
                pair = (float(values[new]), float(values[base]))
                yield Cost(_said(place[:-1]), base, head["label"], head["unit"], *pair)
    done = students[(students["status"] == "done") & students["training_s"].notna()]
    axes = ["dataset", "architecture", "width", "discriminator_width"]
    for place, group in done.groupby(axes, sort=False):
        table = group.pivot(index=["seed", "device"], columns="method", values="training_s")
        table = table.reindex(columns=[new, base]).dropna().astype(float)
        if len(table):
            where = (place[0], "", *place[1:])
            what = "training (share of a cohort)"
            ours, theirs = table.mean()
            yield Cost(_said(where), base, what, "s", ours, theirs, comparable=False)


def _said(place: Sequence[object]) -> str:
    dataset, direction, architecture, width, judge = place
    return f"{dataset} {direction}".strip() + f", {architecture}, width {width}{judged(judge)}"


def ports(rows: Rows, *names: str) -> dict[str, str]:
    """Return method -> what it is a port of, for those that are one."""
    found = rows.entries[rows.entries["method"].isin(names) & (rows.entries["port"] != "")]
    return {str(m): str(port) for m, port in found.groupby("method")["port"].first().items()}
