"""Beside each score what the papers printed for it, and how far apart the two are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from bench.contracts.report import Report, Rows, Table
from bench.contracts.width import channels_of
from reports._format import marks, ports, signed, size, spread
from reports._printed import BEST, LOGS, PLACE, numbers, same_place, text_of

LEVEL = 0.95
SIZE = 256  # pixels, of every translation table that is in the file
JUDGED = ("content_loss", "style_loss")  # PCA-KD's, of pairs at their own sides
FEATURES, OUTPUT = "inception_pytorch_fid", "truncated to 8 bits"  # of every FID in it

CAPTION = (
    "Published numbers are found by data set, direction, network, width and recipe, whatever the "
    "suite calls the row; teachers that only some method has are left out. Gaps are ours minus the "
    "paper's, in the score's unit and in standard deviations. Where a paper reports the best "
    "checkpoint on the test images, the gap is that of our best on the test images: like with "
    "like, from as many looks. The last checkpoint, which is our result, stands beside it. "
    "Verdict: `not run` where no seed has a score; `not comparable` where the protocols differ, "
    "with what differs; else `reproduced` if the gap lies within the 95 % interval that the two "
    "spreads allow (Welch's; a paper's single run counts as one more draw from our seeds), and "
    "`differs` if it does not; `as far as stated` where the paper leaves open what would have to "
    "be compared. WKD's tables do not state the discriminator's width (D): it is read as 64, that "
    "of its logs. A wide spread makes `reproduced` easy: look at the standard deviations."
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
    """Our values of one printed number, one per run."""

    last: pd.Series[float]
    best: pd.Series[float]  # the best snapshot on the test images, by key; no result
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
        entries = _entries(rows)
        blocks, found = [], []
        for _, group in numbers().groupby(["paper", *PLACE[:3]], sort=False):
            block = []
            for _, number in group.iterrows():
                made = list(_rows(number, entries, rows))
                found += [number] * bool(made)
                block += made
            if block:
                blocks.append(block)
        if blocks:
            notes = [*_logs(pd.DataFrame(found)), *ports(entries)]
            yield Table("paper_gap", "Beside the papers", CAPTION, HEADER, blocks, notes)


def _entries(rows: Rows) -> pd.DataFrame:
    """Return the students, and each data set's widest teacher: not one of their own size."""
    students = rows.entries[rows.entries["role"] == "student"]
    teachers = rows.entries[rows.entries["role"] == "teacher"]
    of_each = teachers.groupby("dataset")["width"]
    widest = of_each.transform(lambda widths: max(widths, key=channels_of))
    return pd.concat([students, teachers[teachers["width"] == widest]])


def _rows(number: pd.Series[Any], entries: pd.DataFrame, rows: Rows) -> Iterator[list[str]]:
    """Yield a row per method and discriminator at the place of a printed number."""
    axes = ["role", "discriminator_width", "method"]
    for (_, judge, method), group in same_place(entries, number).groupby(axes, sort=False):
        ours = _ours(number, group, rows)
        yield [
            f"{number['paper']} {number['table']}",
            f"{number['dataset']} {number['direction']}",
            f"{number['architecture']} {size(number['width'], judge, rows)}",
            f"{method}{marks(group)}",
            number["metric"],
            text_of(number),
            spread(ours.last, ours.seeds, ours.digits),
            spread(ours.best, ours.seeds, ours.digits),
            *_verdict(number, ours),
        ]


def _logs(found: pd.DataFrame) -> Iterator[str]:
    """Say what the published logs of a printed student show, from its first look to its last."""
    same = ["paper", *PLACE[:4], "method"]
    logs = numbers()[lambda n: n["table"] == LOGS].merge(found[same].drop_duplicates(), on=same)
    for place, group in logs.groupby([*same, "recipe", "trials"], sort=False):
        paper, dataset, direction, architecture, width, _, recipe, trials = place
        said = "; ".join(f"{n['checkpoint']} {text_of(n)}" for _, n in group.iterrows())
        where = f"{dataset} {direction}, {architecture} {width}, {recipe}, n = {trials}"
        yield f"{paper}'s published logs ({where}): {group['metric'].iloc[0]} {said}."


def _ours(number: pd.Series[Any], group: pd.DataFrame, rows: Rows) -> Ours:
    """Return what we have of a printed number."""
    last, best = (_found(frame, number, group) for frame in (rows.scores, rows.snapshots))
    chosen = pd.Series(dtype=float)
    if not best.empty:
        looks = best.groupby("key")["value"]
        chosen = looks.min() if number["higher_is_better"] == "false" else looks.max()
    return Ours(
        last["value"].astype(float) if not last.empty else chosen.iloc[:0],
        chosen.astype(float),
        len(group),
        int(last["digits"].iloc[0]) if not last.empty else 2,
        "; ".join(_differences(number, group, last, best)),
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


def _differences(
    number: pd.Series[Any], group: pd.DataFrame, last: pd.DataFrame, best: pd.DataFrame
) -> Iterator[str]:
    """Yield how our protocol differs from the printed one, as far as that is known."""
    epochs, judge = group["epochs"].iloc[0], group["discriminator_width"].iloc[0]
    if pd.isna(epochs):  # of weights from elsewhere
        yield "not trained here"
    elif number["epochs"] and not math.isclose(float(number["epochs"]), epochs, rel_tol=0.01):
        yield f"{epochs:.3g} epochs, the paper {_epochs(number)}"
    if number["discriminator_width"] not in ("", str(judge)):
        yield f"D {judge}, the paper {number['discriminator_width']}"
    if number["looks"] and not best.empty:
        counts = sorted(best.groupby("key").size().unique())
        if counts != [int(number["looks"])]:
            ours = " or ".join(map(str, counts))
            yield f"best of {ours} looks, the paper's of {number['looks']}"
    if last.empty:
        return
    protocol = json.loads(last["protocol"].iloc[0])
    if number["score"] in JUDGED:
        yield f"{protocol['size']} px, the paper HD to FHD"
        yield "the paper's source and judge are a VGG-19 that it normalised, which ours are not"
        yield f"judge {protocol['judge']}"
    elif protocol.get("size", SIZE) != SIZE:
        yield f"{protocol['size']} px, the paper {SIZE}"
    if number["score"] == "fid":
        features = str(protocol.get("features", "")).rpartition(" ")[0]
        if features != FEATURES:
            yield f"features {features}, the paper {FEATURES}"
        if protocol.get("output") != OUTPUT:
            yield f"outputs {protocol.get('output')}, the paper {OUTPUT}"
    if number["score"] == "miou" and protocol.get("labels") != "2048 x 1024":
        yield f"labels of {protocol.get('labels')} px, the paper 2048 x 1024"


def _epochs(number: pd.Series[Any]) -> str:
    """Return a printed number of epochs, and the text of which it is our reading."""
    text, epochs = number["epochs_text"], str(number["epochs"])
    return f'"{text}", read as {epochs}' if text else epochs


def _open(number: pd.Series[Any]) -> Iterator[str]:
    """Yield what a paper leaves open of the protocol of a number."""
    if not number["epochs"]:
        yield "epochs not stated"
    elif number["epochs_text"]:
        yield f"epochs: {_epochs(number)}"
    if number["checkpoint"] == "not stated":
        yield "checkpoint not stated"
    if number["checkpoint"] == BEST and not number["looks"]:
        yield "number of looks not stated"
    if not number["discriminator_width"]:
        yield "D not stated"


def _verdict(number: pd.Series[Any], ours: Ours) -> list[str]:
    """Return the gap, the gap in both standard deviations, and the verdict."""
    if ours.last.empty:
        return ["", "", "", "not run"]
    chosen = number["checkpoint"] == BEST
    values = ours.best if chosen else ours.last
    if values.empty:
        return ["", "", "", "not comparable: the paper chose checkpoints on the test images"]
    gap = values.mean() - float(number["mean"])
    own = values.std() if len(values) > 1 else math.nan
    theirs = float(number["std"] or "nan")
    cells = [signed(gap, ours.digits)]
    cells += [signed(gap / s, 1) if s > 0 else "" for s in (theirs, own)]
    if ours.differences:
        return [*cells, f"not comparable: {ours.differences}"]
    if len(values) < 2:
        return [*cells, "not comparable: one seed has no spread"]
    allowed = _allowed(theirs, int(number["trials"] or 1), own, len(values))
    verdict = "reproduced" if abs(gap) <= allowed else "differs"
    left_open = "; ".join(_open(number))
    return [*cells, f"{verdict}, as far as stated ({left_open})" if left_open else verdict]


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
