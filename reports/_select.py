"""What a figure shows: its places, the seeds in them, means with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from scipy import stats

from bench.contracts.report import Rows
from bench.contracts.verdict import NOT_TRAINED
from bench.contracts.width import channels_of
from reports._format import SIZE, Note, places, size

LEAST = 3  # seeds, below which no interval is drawn: Student's of two is nine deviations wide
INTERVAL = f"95 % interval of the mean (Student's t; none below {LEAST} seeds)"


class Place(NamedTuple):
    """One data set, direction, network, size of student and of discriminator."""

    heading: str
    entries: pd.DataFrame  # its students
    scores: pd.DataFrame  # theirs
    teacher: pd.DataFrame  # those of the widest teacher


def places_by_size(rows: Rows, scores: pd.DataFrame) -> Iterator[Place]:
    """Yield the places that have one of these scores for a student."""
    for heading, entries, mine in places(replace(rows, scores=scores)):
        if mine.empty:
            continue
        students = mine[mine["role"] == "student"]
        trained = entries[entries["role"] == "student"]
        for (width, judge), group in students.groupby(SIZE, sort=True):
            same = trained[(trained["width"] == width) & (trained["discriminator_width"] == judge)]
            name = f"{heading}, width {size(width, judge, rows)}"
            yield Place(name, same, group, widest_teacher(mine))


def widest_teacher(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the teacher, the widest one where there are several."""
    return widest(scores[scores["role"] == "teacher"])


def widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the largest width."""
    largest = max(rows["width"].unique(), key=channels_of, default=0)
    found: pd.DataFrame = rows[rows["width"] == largest]
    return found


def teachers_of(rows: pd.DataFrame, dataset: str, architecture: str) -> pd.DataFrame:
    """Return the rows of a data set's widest teacher: of an architecture, or else of any."""
    found = rows[(rows["role"] == "teacher") & (rows["dataset"] == dataset)]
    same = found[found["architecture"] == architecture]
    return widest(same if len(same) else found)


class Sampled(NamedTuple):
    """What has sample images at one data set, network, size of student and of discriminator."""

    dataset: str
    network: str  # with the sizes, as a heading says it
    students: pd.DataFrame
    """Entries: each method's first seed that ended, in the suite's order; then what was given."""
    teacher: pd.DataFrame  # entry of the widest teacher that ended; none if none did


def sampled(rows: Rows) -> Iterator[Sampled]:
    """Yield every place where a student has ended."""
    done = rows.entries[rows.entries["status"].isin(["done", NOT_TRAINED])]
    students = done[done["role"] == "student"]
    groups = students.groupby(["dataset", "architecture", *SIZE], sort=False)
    for (dataset, architecture, width, judge), group in groups:
        same = done[(done["dataset"] == dataset) & (done["architecture"] == architecture)]
        given = same[same["role"] == "given"].drop_duplicates("method")
        first = group.sort_values("seed", kind="stable").drop_duplicates("method").sort_index()
        first = pd.concat([first, given])
        teacher = teachers_of(done, str(dataset), str(architecture)).head(1)
        network = f"{architecture}, width {size(width, judge, rows)}"
        yield Sampled(str(dataset), network, first, teacher)


def told_seeds(entries: pd.DataFrame) -> str:
    """Return which seed of each method is shown, and which did not train, or not here."""
    said = []
    for entry in entries.to_dict("records"):
        lost = f" ({NOT_TRAINED})" if entry["status"] == NOT_TRAINED else ""
        given = " (given)" if entry["role"] == "given" else ""
        said.append(f"{entry['method']} seed {entry['seed']}{lost}{given}")
    return ", ".join(said)


def finite(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores that a figure can show, as floats."""
    if scores.empty:
        return scores
    values = scores["value"].astype(float)
    shown: pd.DataFrame = scores.assign(value=values)[values.abs() < math.inf]
    return shown


def quality(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the finite scores that say how good images are: headlines with a direction."""
    found = finite(scores)
    if found.empty:
        return found
    return found[found["headline"] & (found["judges"] == "images") & (found["better"] != "")]


def foremost(scores: pd.DataFrame) -> pd.DataFrame:
    """Return those of one metric of quality: FID, else the first of sets, else the first."""
    found = quality(scores)
    if found.empty:
        return found
    of_sets = found["metric"][found["protocol"].str.contains('"real images"', regex=False)]
    names = list(dict.fromkeys([*of_sets, *found["metric"]]))
    return found[found["metric"] == ("fid" if "fid" in names else names[0])]


def seeds_note(entries: pd.DataFrame, heading: str) -> Note:
    """Return n, and by method which seeds are not in it, and why."""
    count = entries["seed"].nunique()
    said = []
    for method, group in entries[entries["status"] != "done"].groupby("method", sort=False):
        for status, lost in group.groupby("status", sort=False):
            numbers = ", ".join(str(seed) for seed in lost["seed"])
            said.append(f"{method}: seed{'s' * (len(lost) > 1)} {numbers} {status}")
    without = f"; without {'; '.join(said)}" if said else ""
    return Note("n", heading, f"{count} seed{'s' * (count > 1)} per method{without}")


def summary(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return mean, low and high per group, in order of appearance.

    `low` and `high` bound Student's 95 % interval of the mean; both are the mean below 3 seeds.
    """
    values = scores.groupby(by, sort=False)["value"]
    mean, count = values.mean(), values.count()
    half = stats.t.ppf(0.975, (count - 1).clip(lower=1)) * values.std() / count**0.5
    half = half.where(count >= LEAST, 0.0)
    return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half}).reset_index()
