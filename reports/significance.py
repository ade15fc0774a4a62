"""Every method against the student alone: paired gain, interval, p before and after Holm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.contracts.report import Bold, Report, Rows, Table
from bench.maths.attainable import LEVEL, least_holm_p, least_p, seeds_needed
from bench.maths.statistics import Comparison, compare, holm
from reports._format import (
    SIZE,
    by_seed,
    judged,
    marks,
    named,
    p_value,
    places,
    ports,
    signed,
    size,
)

CAPTION = (
    "Gain over the student alone at common seeds (n), positive where better; percentile bootstrap "
    "interval of its mean, exact up to 9 seeds; two-sided p of all changes of sign, before and "
    "after Holm's correction over the methods of the block. Bold: better than the student alone at "
    f"p ≤ {LEVEL} after it, with a score at every seed of the method. P(better) is the probability "
    "that some run of the method beats some run of the student alone, ties counting half. Seeds "
    "that failed, diverged, did not train or are missing make no pair and are named."
)
BRIEF = f"Gain over the student alone; bold: p ≤ {LEVEL} after Holm."
HEADER = ["Data", "Width", "Metric", "Method", "n", "Gain", "95 % interval", "p", "p (Holm)"]
HEADER += ["P(better)"]


class Significance(Report):
    """One block per data set, width and metric, one row per method but the control."""

    order = 15

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where there is a control and something to hold against it."""
        blocks: list[list[list[str]]] = []
        reach: dict[tuple[int, int], dict[str, list[str]]] = {}  # -> place -> metrics
        for heading, entries, scores in places(rows):
            students = entries[entries["role"] == "student"]
            for (width, judge), group in students.groupby(SIZE, sort=False):
                if not group["is_control"].any() or group["is_control"].all():
                    continue
                where = [heading, size(width, judge, rows)]
                for _, column in judged(scores, group):
                    values = by_seed(column, group).astype(float)
                    whole = set(values.columns[np.isfinite(values.to_numpy()).all(axis=0)])
                    found = compared(values, column["better"].iloc[0], group)
                    able = max(c.n for c in found.values()), sum(c.n > 0 for c in found.values())
                    place = f"{heading}, width {where[1]}"
                    label = str(column["label"].iloc[0])
                    reach.setdefault(able, {}).setdefault(place, []).append(label)
                    blocks.append(_block(where, column, group, found, whole))
        if blocks:
            notes = [*ports(rows.entries), *_reaches(reach)]
            title = "Significance of the gains"
            idle = ""
            if all(least_holm_p(*able) > LEVEL for able in reach):
                seeds = max(seeds for seeds, _ in reach)
                idle = f"of {seeds} seed{'s' * (seeds != 1)}, too few to show any"
            yield Table("significance", title, CAPTION, HEADER, blocks, notes, BRIEF, idle=idle)


def compared(values: pd.DataFrame, better: str, group: pd.DataFrame) -> dict[str, Comparison]:
    """Return method -> comparison with the control, in the group's order."""
    control = group.loc[group["is_control"], "method"].iloc[0]
    others = group.loc[~group["is_control"], "method"].unique()
    return {str(m): compare(values[m], values[control], better) for m in others}


def _block(
    where: list[str],
    column: pd.DataFrame,
    group: pd.DataFrame,
    found: dict[str, Comparison],
    whole: set[str],
) -> list[list[str]]:
    """Return one row per method; `whole` are those that have a score at each of their seeds."""
    digits = int(column["digits"].iloc[0])
    name = named(column.iloc[0])
    adjusted = holm([c.p for c in found.values()])
    block: list[list[str]] = []
    for (method, c), after in zip(found.items(), adjusted, strict=True):
        lost = marks(group[group["method"] == method])
        row = [*(["", "", ""] if block else [*where, name]), f"{method}{lost}", str(c.n)]
        row += [signed(c.mean, digits), interval(c, digits), p_value(c.p)]
        shown = after <= LEVEL and c.mean > 0 and method in whole
        row.append(Bold(p_value(after)) if shown else p_value(after))
        block.append([*row, f"{c.improvement:.2f}" if c.n else "—"])
    return block


def interval(found: Comparison, digits: int) -> str:
    """Return the bootstrap interval as text; a dash below two pairs."""
    if found.n < 2:
        return "—"
    return f"[{signed(found.low, digits)}, {signed(found.high, digits)}]"


def _reaches(reach: Mapping[tuple[int, int], Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """Say what each number of seeds and methods can show at best, and where if there are several.

    Args:
        reach: (common seeds, methods tested) -> place -> labels of the metrics.
    """
    for (seeds, methods), found in reach.items():
        text = (
            _reach(seeds, methods) if methods else "No method shares a seed with the student alone."
        )
        at = "; ".join(f"{place} ({', '.join(labels)})" for place, labels in found.items())
        yield f"{at}: {text}" if len(reach) > 1 else text


def _reach(seeds: int, methods: int) -> str:
    """Say what so many seeds can show at best."""
    single, corrected = least_p(seeds), least_holm_p(seeds, methods)
    text = (
        f"The smallest p that {seeds} common seed{'s' * (seeds != 1)} can give is {single:.2g}, "
        f"and {corrected:.2g} after Holm over {methods} method{'s' * (methods != 1)}"
    )
    if corrected > LEVEL:
        text += (
            f": no {'' if methods == 1 else 'single '}gain over the student alone can be "
            f"significant here, whatever its size, before there are {seeds_needed(methods)} seeds"
        )
        if single <= LEVEL:
            text += "; to be better than every other method, bold in the results, these are enough"
    return f"{text}."
