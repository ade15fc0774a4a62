"""One method against another, place by place: quality, how sure, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.compare.accepted import judged
from bench.compare.over_images import Kept, OverImages
from bench.contracts.report import Bold, Rows, Table
from bench.errors import ReportError, unknown
from bench.maths.statistics import LEVEL, Comparison, compare, holm, least_p, seeds_needed

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
    seeds: int  # that both should have
    lost: dict[str, dict[str, int]]  # method -> status -> seeds without a score
    image_error: float  # sampling error over test images of the difference; nan where unknown
    over_images: OverImages | None  # what it is computed from

    @property
    def is_told_apart(self) -> bool:
        """Whether the difference is not smaller than its sampling error over images."""
        return not abs(self.found.mean) < self.image_error


@dataclass(frozen=True)
class Cost:
    """What a method costs at one place, beside the other one."""

    place: str
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
    rows: Rows, new: str, base: str, metrics: Sequence[str] = (), kept: Kept | None = None
) -> tuple[list[Line], list[Cost]]:
    """Compare two methods of a suite in some metrics, or in all that have a better side.

    Args:
        rows: of the suite.
        new: the name of a row of the suite's methods.
        base: of another.
        metrics: names of metrics of images.
        kept: what errors over images are computed from; none: they stay unknown.

    Raises:
        Damaged: what is kept of a cell cannot be read.
        ReportError: there is no such method or metric, or no pair of finished runs.
    """
    if new == base:
        raise ReportError(f"{new} against itself is no comparison: name another method after --to.")
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
        for line in _lines(judged[judged["metric"] == metric], students, (new, base), kept)
    ]
    if not any(line.found.n for line in lines):
        raise ReportError(
            f"{rows.suite}: {new} and {base} have no scores at a common seed; "
            "`distillbench status` says how their cells stand."
        )
    return lines, list(_costs(students, mine, new, base))


def _lines(
    column: pd.DataFrame, students: pd.DataFrame, names: tuple[str, str], kept: Kept | None
) -> Iterator[Line]:
    """Yield one metric's places and, where there are several, their mean."""
    head = column.iloc[0]
    places = dict(_places(column, students[students["method"].isin(names)], names, kept))
    found = {place: _compare(pairs.values, head["better"]) for place, pairs in places.items()}
    most, tests = max(c.n for c in found.values()), sum(c.n > 0 for c in found.values())
    for (place, c), after in zip(found.items(), holm([c.p for c in found.values()]), strict=True):
        yield _line(place, places[place], c, float(after), most, tests, head)
    if len(places) > 1:
        whole = pd.concat([pairs.values.dropna() for pairs in places.values()]).groupby("seed")
        every = pd.concat([pairs.lost for pairs in places.values()]).groupby("seed").first()
        mean = whole.mean()[whole.size() == len(places)].reindex(every.index)
        c = _compare(mean, head["better"])
        yield _line(f"mean of {len(places)}", _Pairs(mean, every), c, c.p, c.n, 1, head)


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


def _compare(values: pd.DataFrame, better: str) -> Comparison:
    new, base = (values[name] for name in values)
    return compare(new, base, better)


def _line(
    place: str,
    pairs: _Pairs,
    found: Comparison,
    p: float,
    most: int,
    tests: int,
    head: pd.Series[str],
) -> Line:
    """Return a line with its verdict; `most` is the largest number of pairs of all `tests`."""
    lost = {
        str(name): {str(status): n for status, n in seeds.value_counts().items()}
        for name, seeds in pairs.lost.items()
    }
    lost_new, lost_base = lost.values()
    if not found.n:
        verdict = "no pair"
    elif p <= LEVEL:
        verdict, losses = ("better", lost_new) if found.mean > 0 else ("worse", lost_base)
        verdict += " among survivors" * bool(losses)
    elif max(least_p(found.n), tests * least_p(most)) > LEVEL:
        verdict = f"too few seeds ({seeds_needed(tests)} needed)"
    else:
        verdict = "no difference shown"
    new, base = pairs.values.dropna().mean()
    told = (str(head["metric"]), str(head["label"]), str(head["unit"]), int(head["digits"]))
    seeds = len(pairs.values)
    over_images = pairs.over_images
    error = over_images.error if over_images else math.nan
    means = (float(new), float(base))
    return Line(place, *told, *means, found, p, verdict, seeds, lost, error, over_images)


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
                yield Cost(_said(place[:-1]), head["label"], head["unit"], *pair)
    done = students[(students["status"] == "done") & students["training_s"].notna()]
    axes = ["dataset", "architecture", "width", "discriminator_width"]
    for place, group in done.groupby(axes, sort=False):
        table = group.pivot(index=["seed", "device"], columns="method", values="training_s")
        table = table.reindex(columns=[new, base]).dropna().astype(float)
        if len(table):
            where = (place[0], "", *place[1:])
            what = "training (share of a cohort)"
            ours, theirs = table.mean()
            yield Cost(_said(where), what, "s", ours, theirs, comparable=False)


def _said(place: Sequence[object]) -> str:
    dataset, direction, architecture, width, judge = place
    return f"{dataset} {direction}".strip() + f", {architecture}, width {width}{judged(judge)}"


def ports(rows: Rows, *names: str) -> dict[str, str]:
    """Return method -> what it is a port of, for those that are one."""
    found = rows.entries[rows.entries["method"].isin(names) & (rows.entries["port"] != "")]
    return {str(m): str(port) for m, port in found.groupby("method")["port"].first().items()}


def quality_table(lines: Sequence[Line], new: str, base: str, ports: Mapping[str, str]) -> Table:
    """Return the comparison as a table."""
    block = []
    for line in lines:
        c, digits = line.found, line.digits
        label = f"{line.label} [{line.unit}]" if line.unit else line.label
        row = [line.place, label, _text(line.new, f".{digits}f"), _text(line.base, f".{digits}f")]
        interval = f"[{c.low:+.{digits}f}, {c.high:+.{digits}f}]" if c.n > 1 else "—"
        row += [_text(c.mean, f"+.{digits}f"), interval, _small(line.image_error, digits)]
        row += [_pairs(line), _text(line.p_holm, ".4f")]
        decided = line.verdict in ("better", "worse")
        block.append([*row, Bold(line.verdict) if decided else line.verdict])
    caption = (
        "A gain is positive where it is better; its mean over common seeds (n, of those that were "
        "asked for, with what became of the others), with the bootstrap interval. Better or worse: "
        f"p ≤ {LEVEL} by sign flips, two-sided, after Holm over the places; the mean over the "
        "places is one question and stands alone. Among survivors: the method that is better has "
        "lost seeds, which are not in its mean. ± images: standard error of the gain over the test "
        "images, with these seeds; interval and p are over seeds, with these images."
    )
    caption += "".join(f" † {port}." for port in dict.fromkeys(ports.values()))
    marked = [f"{name} †" if name in ports else name for name in (new, base)]
    head = ["Data", "Metric", *marked, "Gain", "95 % interval", "± images", "n", "p (Holm)"]
    head.append("Verdict")
    return Table("compare", f"{new} against {base}", caption, head, [block], _untold(lines))


def _untold(lines: Sequence[Line]) -> list[str]:
    """Say where a difference is smaller than its sampling error over images."""
    found = []
    for line in lines:
        if line.over_images and not line.is_told_apart:
            gain, error = (f"{x:.{line.digits}f}" for x in (line.found.mean, line.image_error))
            images = len(line.over_images.names)
            found.append(
                f"{line.place}, {line.label}: a gain of {gain} with a sampling error of {error}: "
                f"not told apart by these {images} images."
            )
    return found


def images_table(lines: Sequence[Line], new: str, base: str) -> Table:
    """Return where two methods differ most, image by image."""
    blocks = []
    for line in lines:
        if line.over_images and line.over_images.is_each:
            over = line.over_images
            block: list[list[str]] = []
            for place in over.furthest():
                values = (over.new[place], over.base[place])
                first = ["", ""] if block else [line.place, line.label]
                block.append([*first, over.names[place], *(f"{x:.{line.digits}f}" for x in values)])
            blocks.append(block)
    caption = (
        "The test images where the two differ most, by every metric that is a mean over images; "
        "means over common seeds."
    )
    return Table(
        "images", "Image by image", caption, ["Data", "Metric", "Image", new, base], blocks
    )


def _pairs(line: Line) -> str:
    """Return the number of pairs, with what became of the others."""
    if line.found.n == line.seeds:
        return str(line.seeds)
    said = [
        f"{method} {', '.join(f'{n} {status}' for status, n in lost.items())}"
        for method, lost in line.lost.items()
        if lost
    ]
    return f"{line.found.n}/{line.seeds} ({'; '.join(said)})"


def _small(error: float, digits: int) -> str:
    """Return an error to some places, or to its first digit where these would say 0."""
    return _text(error, f".{digits}f" if round(error, digits) else ".1g")


def _text(value: float, form: str) -> str:
    return "—" if np.isnan(value) else f"{value:{form}}"


def cost_table(costs: Sequence[Cost], new: str, base: str) -> Table:
    """Return what both cost as a table."""
    block = [
        [
            cost.place,
            cost.what,
            *(f"{value:,.4g} {cost.unit}".rstrip() for value in (cost.new, cost.base)),
            f"{cost.new / cost.base:.2f}×" if cost.base and cost.comparable else "—",
        ]
        for cost in costs
    ]
    caption = (
        "Training: mean over the seeds at which both ran on one kind of device, of a cell's equal "
        "share of the time of the cohort that it was trained in. Cohorts differ in size, so that "
        "two such times have no ratio."
    )
    return Table("cost", "What it costs", caption, ["Data", "Cost", new, base, "Ratio"], [block])
