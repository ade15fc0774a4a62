"""The suite's question in sentences: who is better, by how much, how sure, or that nobody knows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bench.contracts.report import Answer, Report, Rows
from bench.maths.statistics import LEVEL, Comparison, best, compare, holm, least_p, seeds_needed
from reports._format import SIZE, by_seed, p_value, places, signed, size
from reports._select import foremost
from reports.ranks import Ranked, by_metric
from reports.significance import interval


class Answers(Report):
    """One sentence per data set, architecture, direction and size, by the foremost metric.

    It says what the tables of results and of significance show, and not more.
    """

    order = 0

    def make(self, rows: Rows) -> Iterator[Answer]:
        """Yield the sentences where two methods can be held against each other."""
        scores = foremost(rows.scores)
        if scores.empty:
            return
        metric = scores["metric"].iloc[0]
        for heading, entries, mine in places(rows):
            students = entries[entries["role"] == "student"]
            for (width, judge), group in students.groupby(SIZE, sort=False):
                column = mine[mine["headline"] & mine["key"].isin(group["key"])]
                column = column[(column["metric"] == metric) & column["value"].notna()]
                if len(column) and group["method"].nunique() > 1:
                    about = f"{heading}, width {size(width, judge, rows)}"
                    yield Answer(about, _answer(column, group))
        for ranked in by_metric(rows):
            if ranked.heading == scores["label"].iloc[0] and not math.isnan(ranked.ranks.critical):
                yield Answer(f"Over {ranked.ranks.n} places, width {ranked.width}", _order(ranked))


def _answer(column: pd.DataFrame, group: pd.DataFrame) -> str:
    """Return the sentence on one place and size."""
    head = column.iloc[0]
    digits, by = int(head["digits"]), f"by {head['label']}"
    unit = f" {head['unit']}" if head["unit"] else ""
    values = by_seed(column, group).astype(float)
    values = values.where(np.isfinite(values))
    means = values.mean().dropna().sort_values(ascending=head["better"] == "lower", kind="stable")
    whole = {str(m) for m in values if values[m].notna().all()}
    if len(means) < 2:
        return f"Only {len(means)} of {len(values.columns)} methods has a score {by}."
    first, second = str(means.index[0]), str(means.index[1])
    lead = f"{means[first]:.{digits}f}{unit} against {means[second]:.{digits}f} of {second}"
    winner = best(values, head["better"])
    control = _control(group, values)
    against = ""
    if control and control != first:
        found = _against(values, control, head["better"])
        against = _gain(first, found, digits, unit)
    if winner and winner in whole:
        n = len(values[winner])
        return (
            f"{winner} is better than every other method {by}: {lead} (p ≤ {LEVEL} against each, "
            f"{n} seeds){against}."
        )
    if not control:
        seeds = _seeds(int(values.notna().sum().max()))
        return f"{seeds} cannot tell who is best {by}; the best mean is {first}'s: {lead}."
    return _beside_control(values, control, whole, head, digits, unit)


def _control(group: pd.DataFrame, values: pd.DataFrame) -> str:
    """Return the student alone, if it has a score and others do."""
    names = group.loc[group["is_control"], "method"].unique()
    return str(names[0]) if len(names) == 1 and values[names[0]].notna().any() else ""


def _against(
    values: pd.DataFrame, control: str, better: str
) -> dict[str, tuple[Comparison, float]]:
    """Return method -> comparison with the student alone, and p after Holm's correction."""
    others = [str(m) for m in values if m != control]
    found = [compare(values[m], values[control], better) for m in others]
    return {
        m: (c, float(p)) for m, c, p in zip(others, found, holm([c.p for c in found]), strict=True)
    }


def _gain(
    method: str, found: Mapping[str, tuple[Comparison, float]], digits: int, unit: str
) -> str:
    """Return by how much a method is better than the student alone, and how sure that is."""
    gain, after = found[method]
    return (
        f"; {signed(gain.mean, digits)}{unit} over the student alone (95 % interval "
        f"{interval(gain, digits)}, p {_p(after)} after Holm)"
    )


def _beside_control(
    values: pd.DataFrame,
    control: str,
    whole: set[str],
    head: pd.Series[str],
    digits: int,
    unit: str,
) -> str:
    """Return the sentence where nobody beats all others: who beats the student alone."""
    by = f"by {head['label']}"
    found = _against(values, control, head["better"])
    tested = {m: pair for m, pair in found.items() if pair[0].n}
    if not tested:
        return f"No method shares a seed with the student alone {by}."
    better = [m for m, (c, p) in tested.items() if p <= LEVEL and c.mean > 0 and m in whole]
    worse = [m for m, (c, p) in tested.items() if p <= LEVEL and c.mean < 0 and m in whole]
    first = max(better or tested, key=lambda m: tested[m][0].mean)
    gain, after = tested[first]
    said = (
        f"{signed(gain.mean, digits)}{unit} over the student alone, 95 % interval "
        f"{interval(gain, digits)}, p {_p(after)} after Holm over {len(tested)}"
    )
    lost = f"; {_listed(worse)} {_is(worse)} worse" if worse else ""
    if better:
        more = ""
        if len(better) > 1:
            more = "; which of them is best these seeds cannot tell"
        return (
            f"{_listed(better)} {_is(better)} better than the student alone {by} "
            f"({'the most, ' if len(better) > 1 else ''}{first}: {said}){lost}{more}."
        )
    if worse:
        return f"No method is shown to be better than the student alone {by}{lost}."
    most = max(c.n for c, _ in tested.values())
    never = ""
    if len(tested) * least_p(most) > LEVEL:
        needed = seeds_needed(len(tested))
        who = f"{len(tested)} methods need" if len(tested) > 1 else "one method needs"
        never = f"; {who} {needed} seeds before any gain can be significant"
    lead = "largest gain" if gain.mean > 0 else "smallest loss"
    return (
        f"{_seeds(most)} cannot tell the methods from the student alone {by}: the {lead} is "
        f"{first}'s ({said}){never}."
    )


def _order(ranked: Ranked) -> str:
    """Return the sentence on ranks over places."""
    of = ranked.ranks
    mean = of.mean.sort_values(kind="stable")
    first = str(mean.index[0])
    behind = [str(m) for m in mean.index if mean[m] - mean[first] > of.critical]
    by = f"By {ranked.heading}, {first} ranks first on average ({mean[first]:.2f})"
    if behind:
        return (
            f"{by}, significantly better than {_listed(behind)} (critical difference "
            f"{of.critical:.2f}, Friedman p {p_value(of.p)})."
        )
    return (
        f"{by}, which {of.n} places cannot tell from chance (critical difference "
        f"{of.critical:.2f})."
    )


def _seeds(n: int) -> str:
    return f"These {n} seeds" if n > 1 else "One seed"


def _p(p: float) -> str:
    return text if (text := p_value(p)).startswith("<") else f"= {text}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
