"""The suite's question in sentences: who is better, by how much, how sure, or that nobody knows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.contracts.report import Answer, Report, Rows
from bench.contracts.verdict import NOT_TRAINED
from bench.maths.attainable import LEVEL, least_holm_p, seeds_needed
from bench.maths.statistics import Comparison, best, compare, holm
from reports._format import SIZE, by_seed, p_value, places, signed, size
from reports._select import foremost
from reports.ranks import Ranked, by_metric
from reports.significance import compared, interval

LOST = ("failed", "diverged", NOT_TRAINED)  # how a run ends without a score


class Answers(Report):
    """One sentence per data set, architecture, direction and size, by its foremost metric.

    It says what the tables of results and of significance show, and not more.
    """

    order = 0

    def make(self, rows: Rows) -> Iterator[Answer]:
        """Yield the sentences where two methods can be held against each other."""
        first = foremost(rows.scores)
        for heading, entries, mine in places(rows):
            students = entries[entries["role"] == "student"]
            for (width, judge), group in students.groupby(SIZE, sort=False):
                if group["method"].nunique() < 2:
                    continue
                about = f"{heading}, width {size(width, judge, rows)}"
                scores = mine[mine["key"].isin(group["key"])] if len(mine) else mine
                column = foremost(scores)
                if len(column):
                    yield Answer(about, _answer(column, group))
                elif len(first) or group["status"].isin(LOST).all():
                    yield Answer(about, "No method has a score.")
        if first.empty:
            return
        metric, label = first[["metric", "label"]].iloc[0]
        ours = rows.scores[rows.scores["metric"] == metric]
        several = ours.groupby("dataset")["direction"].nunique() > 1
        for ranked in by_metric(rows):
            if ranked.heading == label and not math.isnan(ranked.ranks.critical):
                about = f"Over {ranked.ranks.n} places, width {ranked.width}"
                yield Answer(about, _order(ranked, has_directions=bool(several.any())))


def _answer(column: pd.DataFrame, group: pd.DataFrame) -> str:
    """Return the sentence on one place and size."""
    head = column.iloc[0]
    values = by_seed(column, group).astype(float)
    values = values.where(np.isfinite(values))
    scored = values.dropna(axis=1, how="all")
    if len(scored.columns) < 2:
        return (
            f"Only {len(scored.columns)} of {len(values.columns)} methods has a score "
            f"by {head['label']}."
        )
    whole = {str(m) for m in values if values[m].notna().all()}
    control = _control(group, values)
    winner = best(values, head["better"])
    if winner and (winner in whole or not control):
        return _best(scored, winner, control, head, is_whole=winner in whole)
    if control:
        return _beside_control(values, group, whole, head)
    common = scored.dropna()
    if common.empty:
        return f"No seed has a score of every method by {head['label']}, which leaves it open."
    means = common.mean().sort_values(ascending=head["better"] == "lower", kind="stable")
    first, second = (str(method) for method in means.index[:2])
    return (
        f"{_seeds(len(common))} cannot tell who is best by {head['label']}; the best mean is "
        f"{first}'s: {_lead(common, first, second, head)}."
    )


def _best(
    values: pd.DataFrame, winner: str, control: str, head: pd.Series[str], *, is_whole: bool
) -> str:
    """Return the sentence where one method beats all others, or does among survivors."""
    by, others = f"by {head['label']}", [str(m) for m in values if m != winner]
    found = {m: compare(values[winner], values[m], head["better"]) for m in others}
    second = min(others, key=lambda m: found[m].mean)
    n = found[second].n
    lead = f"{_lead(values[[winner, second]].dropna(), winner, second, head)} ({n} common seeds"
    if not is_whole:
        return (
            f"No method is shown to be better than every other one {by}: {winner} is among "
            f"survivors, {lead}), and has lost seeds."
        )
    gain = ""
    if control and control != winner:
        gain = f"; {_gain(found[control], head)}, 95 % interval {_interval(found[control], head)}"
    return (
        f"{winner} is better than every other method {by}: {lead}; p ≤ {LEVEL} against each){gain}."
    )


def _lead(common: pd.DataFrame, first: str, second: str, head: pd.Series[str]) -> str:
    """Return the means of two methods over the same seeds."""
    unit = f" {head['unit']}" if head["unit"] else ""
    mine, other = (f"{common[m].mean():.{head['digits']}f}" for m in (first, second))
    return f"{mine}{unit} against {other} of {second}"


def _control(group: pd.DataFrame, values: pd.DataFrame) -> str:
    """Return the student alone, if it has a score and others do."""
    names = group.loc[group["is_control"], "method"].unique()
    return str(names[0]) if len(names) == 1 and values[names[0]].notna().any() else ""


def _gain(found: Comparison, head: pd.Series[str]) -> str:
    """Return by how much a method is better than the student alone, and at how many seeds."""
    unit = f" {head['unit']}" if head["unit"] else ""
    return f"{signed(found.mean, int(head['digits']))}{unit} over the student alone, n = {found.n}"


def _interval(found: Comparison, head: pd.Series[str]) -> str:
    return interval(found, int(head["digits"]))


def _beside_control(
    values: pd.DataFrame, group: pd.DataFrame, whole: set[str], head: pd.Series[str]
) -> str:
    """Return the sentence where nobody beats all others: who beats the student alone.

    As in `compare`, a method that has lost seeds is better among survivors at most, and one is
    worse among survivors where the student alone has lost some.
    """
    alone = f"the student alone by {head['label']}"
    every = compared(values, head["better"], group)
    tested = {method: c for method, c in every.items() if c.n}
    if not tested:
        return f"No method shares a seed with {alone}."
    after = dict(zip(tested, holm([c.p for c in tested.values()]), strict=True))
    significant = [m for m in tested if after[m] <= LEVEL]
    gained = [m for m in significant if tested[m].mean > 0]
    better = [m for m in gained if m in whole]
    surviving = [m for m in gained if m not in whole]
    worse = [m for m in significant if tested[m].mean < 0]
    first = max(better or surviving or tested, key=lambda m: tested[m].mean)
    said = (
        f"{_gain(tested[first], head)}, 95 % interval {_interval(tested[first], head)}, "
        f"p {_p(after[first])} after Holm over {len(tested)}"
    )
    told = f"({'the most, ' if len(better or surviving) > 1 else ''}{first}: {said})"
    parts = []
    if better:
        parts.append(f"{_listed(better)} {_is(better)} better than {alone} {told}")
    elif significant:
        parts.append(f"No method is shown to be better than {alone}")
    if surviving:
        most = "" if better else f" {told}"
        parts.append(f"{_listed(surviving)} {_is(surviving)} better among survivors{most}")
    if worse:
        is_shown = group.loc[group["is_control"], "method"].iloc[0] in whole
        among = "" if is_shown else " among survivors"
        parts.append(f"{_listed(worse)} {_is(worse)} worse{among}")
    if len(better) > 1:
        parts.append("which of them is best these seeds cannot tell")
    if parts:
        return f"{'; '.join(parts)}."
    n = max(c.n for c in tested.values())
    never = ""
    if least_holm_p(n, len(tested)) > LEVEL:
        needed = seeds_needed(len(tested))
        who = f"{len(tested)} methods need" if len(tested) > 1 else "one method needs"
        never = f"; {who} {needed} seeds before any gain can be significant"
    is_loss = round(tested[first].mean, int(head["digits"])) < 0
    return (
        f"{_seeds(n)} cannot tell the methods from {alone}: the "
        f"{'smallest loss' if is_loss else 'largest gain'} is {first}'s ({said}){never}."
    )


def _order(ranked: Ranked, *, has_directions: bool) -> str:
    """Return the sentence on ranks over places."""
    of = ranked.ranks
    mean = of.mean.sort_values(kind="stable")
    least = mean.iloc[0]
    first = [str(m) for m in mean.index if math.isclose(mean[m], least)]
    behind = [str(m) for m in mean.index if mean[m] - least > of.critical]
    ranks = f"rank{'s' if len(first) == 1 else ''} first"
    said = f"By {ranked.heading}, {_listed(first)} {ranks} on average ({least:.2f}), "
    test = f"critical difference {of.critical:.2f}, Friedman p {_p(of.p)}"
    if behind and of.p <= LEVEL:
        said += f"significantly better than {_listed(behind)} ({test})"
    else:
        said += f"which {of.n} places cannot tell from chance ({test})"
    if has_directions:
        said += "; directions of one data set are not independent, which makes this optimistic"
    if ranked.left_out:
        lack = "lacks" if len(ranked.left_out) == 1 else "lack"
        said += f"; without {_listed(ranked.left_out)}, which {lack} scores somewhere"
    return f"{said}."


def _seeds(n: int) -> str:
    return f"These {n} seeds" if n > 1 else "One seed"


def _p(p: float) -> str:
    return text if (text := p_value(p)).startswith("<") else f"= {text}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
