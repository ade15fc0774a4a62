"""What one thing does: rows that differ in their network, or in one parameter of their method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from bench.contracts.report import Bold, Report, Rows, Table
from bench.maths.attainable import LEVEL, least_holm_p, least_p, seeds_needed
from bench.maths.statistics import Comparison, compare, holm
from reports._format import SIZE, named, p_value, ports, signed, size
from reports.significance import interval

CAPTION = (
    "Pairs of rows that differ in one thing alone: the network at one width, with the same method, "
    "or one parameter of a method, one of the two having its default. Gain: of the first over the "
    "second at common seeds (n), positive where better, mean over all methods (or networks) that "
    "have both; each of them stands in the last column. Interval, p and Holm's correction, here "
    "over the pairs of a block in one metric, as in the table of significance. Bold: p ≤ "
    f"{LEVEL} after it."
)
HEADER = ["Data", "Width", "What differs", "Metric", "n", "Gain", "95 % interval", "p", "p (Holm)"]
HEADER += ["One by one"]


@dataclass(frozen=True)
class Contrast:
    """Two things, and the pairs of cells that differ in nothing else."""

    what: str
    pairs: Mapping[str, tuple[pd.Series[str], pd.Series[str]]]  # what is held -> keys by seed

    def values(self, of: pd.Series[float]) -> dict[str, tuple[pd.Series[float], pd.Series[float]]]:
        """Return the values of each pair by seed, those of the first before those of the second."""
        return {
            held: (new.map(of).astype(float), base.map(of).astype(float))
            for held, (new, base) in self.pairs.items()
        }


class Contrasts(Report):
    """One block per data set, direction and width; a row per contrast and metric."""

    order = 16

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where two rows differ in one thing."""
        if rows.scores.empty:
            return
        students = rows.entries[rows.entries["role"] == "student"]
        scores = rows.scores[rows.scores["role"] == "student"]
        scores = scores[scores["headline"] & (scores["judges"] == "images")]
        scores = scores[(scores["better"] != "") & scores["value"].notna()]
        blocks, notes = [], []
        can_show = False
        axes = ["dataset", *SIZE]
        for (dataset, width, judge), group in students.groupby(axes, sort=False):
            found = [*_networks(group), *_parameters(group)]
            mine = scores[scores["key"].isin(group["key"])]
            directions = list(mine["direction"].unique()) if found else []
            for direction in directions:
                arrow = f" {direction}" if len(directions) > 1 else ""
                where = [f"{dataset}{arrow}", size(width, judge, rows)]
                block, said, can = _block(where, found, mine[mine["direction"] == direction])
                blocks.append(block)
                notes += said
                can_show |= can
        if blocks:
            notes += ports(rows.entries)
            idle = "" if can_show else "of too few seeds to show anything"
            title, subject = "One thing apart", "What differs"
            yield Table("contrasts", title, CAPTION, HEADER, blocks, notes, "", subject, idle)


def _networks(group: pd.DataFrame) -> Iterator[Contrast]:
    """Yield each network against the suite's first."""
    first, *others = group["architecture"].unique()
    for other in others:
        pairs = {}
        for method, mine in group.groupby("method", sort=False):
            keys = _keys(mine, "architecture")
            if first in keys and other in keys:
                pairs[str(method)] = keys[other], keys[first]
        if pairs:
            yield Contrast(f"{other} in place of {first}", pairs)


def _parameters(group: pd.DataFrame) -> Iterator[Contrast]:
    """Yield each method with one parameter more than another that is else the same."""
    if "family" not in group:
        return
    told = group.drop_duplicates("method").set_index("method")[["family", "given"]]
    for new, (family, given) in told.iterrows():
        for base, (other, without) in told.iterrows():
            more = given.keys() - without.keys()
            same = all(given.get(name) == value for name, value in without.items())
            if family != other or len(more) != 1 or not same:
                continue
            (name,) = more
            value, default = given[name]
            what = f"{new} in place of {base} ({name.split('.')[-1]}: {value}, not {default})"
            pairs = {}
            for network, mine in group.groupby("architecture", sort=False):
                keys = _keys(mine, "method")
                pairs[str(network)] = keys[str(new)], keys[str(base)]
            yield Contrast(what, pairs)


def _keys(entries: pd.DataFrame, axis: str) -> dict[str, pd.Series[str]]:
    """Return the keys by seed of each value of an axis."""
    groups = entries.groupby(axis, sort=False)
    return {str(name): seeds.set_index("seed")["key"] for name, seeds in groups}


def _block(
    where: list[str], contrasts: list[Contrast], scores: pd.DataFrame
) -> tuple[list[list[str]], list[str], bool]:
    """Return the rows of one place, what they come to in words, and if p could be small enough."""
    block: list[list[str]] = []
    verdicts: dict[str, dict[str, list[str]]] = {}
    most = 0
    of_metric = list(scores.groupby("metric", sort=False))
    compared = {str(metric): _compared(contrasts, column) for metric, column in of_metric}
    adjusted = {m: holm([c.p for c, _ in found]) for m, found in compared.items()}
    for number, contrast in enumerate(contrasts):
        for metric, column in of_metric:
            found, singles = compared[str(metric)][number]
            after, head = adjusted[str(metric)][number], column.iloc[0]
            digits = int(head["digits"])
            shown = bool(after <= LEVEL)
            verdict = ("better" if found.mean > 0 else "worse") if shown else "nothing shown"
            verdicts.setdefault(contrast.what, {}).setdefault(verdict, []).append(head["label"])
            most = max(most, found.n)
            is_first = column is of_metric[0][1]
            row = [*(where if not block else ["", ""]), contrast.what if is_first else ""]
            row += [named(head), str(found.n), signed(found.mean, digits), interval(found, digits)]
            row += [p_value(found.p), Bold(p_value(after)) if shown else p_value(after)]
            each = "; ".join(f"{held} {signed(gain, digits)}" for held, gain in singles.items())
            block.append([*row, each if len(singles) > 1 else ""])
    place = f"{where[0]}, width {where[1]}"
    notes = [*(_sentence(what, by) for what, by in verdicts.items()), _reach(most, len(contrasts))]
    can_show = len(contrasts) * least_p(most) <= LEVEL
    return block, [f"{place}: {note}" for note in notes], can_show


def _compared(
    contrasts: list[Contrast], column: pd.DataFrame
) -> list[tuple[Comparison, dict[str, float]]]:
    """Return one metric's comparison of each contrast, and the mean gain of each of its pairs."""
    of = column.drop_duplicates("key").set_index("key")["value"]
    better = column["better"].iloc[0]
    found = []
    for contrast in contrasts:
        every = contrast.values(of)
        pairs = {held: pair for held, pair in every.items() if _meet(*pair)} or every
        new, base = (
            pd.concat(side, axis=1).mean(axis=1, skipna=False)
            for side in zip(*pairs.values(), strict=True)
        )
        singles = {held: compare(*pair, better).mean for held, pair in pairs.items()}
        found.append((compare(new, base, better), singles))
    return found


def _meet(new: pd.Series[float], base: pd.Series[float]) -> bool:
    """Say whether there is a seed of which both have a value."""
    return bool((new.notna() & base.reindex(new.index).notna()).any())


def _sentence(what: str, verdicts: Mapping[str, list[str]]) -> str:
    """Say which metrics show that a contrast helps, that it harms, and neither."""
    said = [f"{verdict} by {', '.join(labels)}" for verdict, labels in verdicts.items()]
    return f"{what}: {'; '.join(said)}."


def _reach(seeds: int, contrasts: int) -> str:
    """Say what so many seeds can show at best."""
    single, corrected = least_p(seeds), least_holm_p(seeds, contrasts)
    text = (
        f"with {seeds} common seed{'s' * (seeds != 1)} the smallest p is {single:.2g}, and "
        f"{corrected:.2g} after Holm over {contrasts} pair{'s' * (contrasts != 1)}"
    )
    if corrected > LEVEL:
        needed = seeds_needed(contrasts)
        text += f": nothing can be shown, whatever its size, before there are {needed} seeds"
    return f"{text}."
