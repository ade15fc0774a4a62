"""Beside each score what the papers printed for it, and how far apart the two are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from bench.report import Report, Rows, Table
from reports._format import spread
from reports._printed import PLACE, numbers, same_place, text_of

LEVEL = 0.95
SIZE = 256  # pixels, of every translation table that is in the file

CAPTION = (
    "Published numbers are found by data set, direction, network, width and recipe, whatever the "
    "suite calls the row. Gaps are ours minus the paper's, in the score's unit and in standard "
    "deviations. Where a paper reports the best checkpoint on the test images, the gap is that of "
    "our best on the test images: like with like. The last checkpoint, which is our result, stands "
    "beside it. Verdict: `not run` where no seed has a score; `not comparable` where the protocols "
    "differ, with what differs; else `reproduced` if the gap lies within the 95 % interval that "
    "the two spreads allow (Welch's; a paper's single run counts as one more draw from our seeds), "
    "and `differs` if it does not. A wide spread makes `reproduced` easy: look at the standard "
    "deviations."
)
HEADER = (
    "Paper",
    "Data",
    "Network",
    "Method",
    "Score",
    "Printed",
    "Ours, last",
    "Ours, best on test",
    "Gap",
    "in its σ",
    "in our σ",
    "Verdict",
)


class Ours(NamedTuple):
    """Our values of one printed number, by seed."""

    last: pd.Series[float]
    best: pd.Series[float]  # the best snapshot on the test images; no result
    seeds: int
    digits: int
    differences: str  # between the protocols


class PaperGap(Report):
    """One row per printed number that a place of the matrix has."""

    order = 15

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where a paper printed a number for a place of the matrix."""
        if "recipe" not in rows.entries:
            return
        entries = rows.entries[rows.entries["role"].isin(["student", "teacher"])]
        blocks = []
        for _, group in numbers().groupby(["paper", *PLACE[:3]], sort=False):
            block = [row for _, number in group.iterrows() for row in _rows(number, entries, rows)]
            if block:
                blocks.append(block)
        if blocks:
            yield Table("paper_gap", "Beside the papers", CAPTION, HEADER, blocks)


def _rows(number: pd.Series[Any], entries: pd.DataFrame, rows: Rows) -> Iterator[list[str]]:
    """Yield the row of one printed number if the matrix has its place."""
    for _, group in same_place(entries, number).groupby("discriminator_width", sort=False):
        ours = _ours(number, group, rows)
        yield [
            f"{number['paper']} {number['table']}",
            f"{number['dataset']} {number['direction']}",
            f"{number['architecture']} {number['width']}",
            str(group["method"].iloc[0]),
            number["metric"],
            text_of(number),
            spread(ours.last, ours.seeds, ours.digits),
            spread(ours.best, ours.seeds, ours.digits),
            *_verdict(number, ours),
        ]


def _ours(number: pd.Series[Any], group: pd.DataFrame, rows: Rows) -> Ours:
    """Return what we have of a printed number."""
    last, best = (_found(frame, number, group) for frame in (rows.scores, rows.snapshots))
    looks = best.groupby("seed")["value"] if not best.empty else None
    chosen = pd.Series(dtype=float)
    if looks is not None:
        chosen = looks.min() if number["higher_is_better"] == "false" else looks.max()
    return Ours(
        last.set_index("seed")["value"].astype(float) if not last.empty else chosen.iloc[:0],
        chosen.astype(float),
        len(group),
        int(last["digits"].iloc[0]) if not last.empty else 2,
        "; ".join(_differences(number, group, last)),
    )


def _found(frame: pd.DataFrame, number: pd.Series[Any], group: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return frame
    found: pd.DataFrame = frame[
        frame["key"].isin(group["key"])
        & (frame["metric"] == number["score"])
        & (frame["direction"] == number["direction"])
        & frame["headline"]
        & frame["value"].notna()
    ].drop_duplicates(["key", "step"])
    return found


def _differences(number: pd.Series[Any], group: pd.DataFrame, last: pd.DataFrame) -> Iterator[str]:
    """Yield how our protocol differs from the printed one, as far as that is known."""
    epochs = group["epochs"].iloc[0]
    if number["epochs"] and not math.isclose(float(number["epochs"]), epochs, rel_tol=0.01):
        yield f"{epochs:.3g} epochs, the paper {number['epochs']}"
    if last.empty:
        return
    protocol = json.loads(last["protocol"].iloc[0])
    if protocol.get("size", SIZE) != SIZE:
        yield f"{protocol['size']} px, the paper {SIZE}"
    if number["score"] == "miou" and protocol.get("labels") != "2048 x 1024":
        yield f"labels of {protocol.get('labels')} px, the paper 2048 x 1024"


def _verdict(number: pd.Series[Any], ours: Ours) -> list[str]:
    """Return the gap, the gap in both standard deviations, and the verdict."""
    if ours.last.empty:
        return ["", "", "", "not run"]
    chosen = number["checkpoint"] == "best on test"
    values = ours.best if chosen else ours.last
    if values.empty:
        return ["", "", "", "not comparable: the paper chose checkpoints on the test images"]
    gap = values.mean() - float(number["mean"])
    own = values.std() if len(values) > 1 else math.nan
    theirs = float(number["std"] or "nan")
    cells = [f"{gap:+.{ours.digits}f}"]
    cells += [f"{gap / s:+.1f}" if s > 0 else "" for s in (theirs, own)]
    if ours.differences:
        return [*cells, f"not comparable: {ours.differences}"]
    if len(values) < 2:
        return [*cells, "not comparable: one seed has no spread"]
    allowed = _allowed(theirs, int(number["trials"] or 1), own, len(values))
    return [*cells, "reproduced" if abs(gap) <= allowed else "differs"]


def _allowed(theirs: float, trials: int, own: float, seeds: int) -> float:
    """Return half the 95 % interval of the difference of two means, by Welch's approximation.

    Without a printed spread the number is one run, compared with where one more seed would fall.
    """
    if math.isnan(theirs) or trials < 2:
        return float(stats.t.ppf(0.5 + LEVEL / 2, seeds - 1) * own * math.sqrt(1 + 1 / seeds))
    a, b = theirs**2 / trials, own**2 / seeds
    if a + b == 0:
        return 0.0
    freedom = (a + b) ** 2 / (a**2 / (trials - 1) + b**2 / (seeds - 1))
    return float(stats.t.ppf(0.5 + LEVEL / 2, freedom) * math.sqrt(a + b))
