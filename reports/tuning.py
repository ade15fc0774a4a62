"""What each method's trials tried, how they did on the validation split, and what was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench.contracts.report import Bold, Report, Rows, Table
from reports._format import marks, ports, size

PLACE = ["dataset", "architecture", "width", "discriminator_width"]


class Tuning(Report):
    """One row per method of a place; one column per trial, the chosen one in bold and named."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite tunes."""
        if "tuned" not in rows.entries:
            return
        students = rows.entries[rows.entries["role"] == "student"]
        found: list[dict[str, Any]] = [tuned for tuned in students["tuned"] if tuned]
        if not found:
            return
        blocks = []
        for place, group in students.groupby(PLACE, sort=False):
            dataset, architecture, width, judge = place
            block: list[list[str]] = []
            for method, seeds in group.groupby("method", sort=False):
                where = [f"{dataset}, {architecture}", size(width, judge, rows)]
                first = ["", ""] if block else where
                tuned = seeds["tuned"].iloc[0]
                block.append([*first, f"{method}{marks(seeds)}", *_trials(tuned, found[0])])
            blocks.append(block)
        scales = next((s for tuned in found if None not in (s := _scales(tuned))), [])
        tried = [f"× {s:g}" for s in scales] or [f"Trial {n + 1}" for n in range(_count(found[0]))]
        header = ["Data", "Width", "Method", *tried, "Chosen"]
        notes = [*_without(students), *ports(students)]
        yield Table("tuning", "Tuning", budget(found[0]), header, blocks, notes)


def budget(tuned: Mapping[str, Any]) -> str:
    """Say with what budget methods were tuned, and by what."""
    seeds = ", ".join(map(str, tuned["seeds"]))
    label = f"{tuned['metric']} [{tuned['unit']}]" if tuned["unit"] else tuned["metric"]
    return (
        f"{label} on the validation split, the mean over the trials' seeds ({seeds}), which are "
        f"none of the results'. Every method with a weight had {_count(tuned)} trials at each "
        "place: its weights times the factor that heads the column, or what the cell says first. "
        "Bold was chosen, and trained the results. The test split chose nothing."
    )


def _count(tuned: Mapping[str, Any]) -> int:
    return len(tuned["trials"])


def _scales(tuned: Mapping[str, Any]) -> list[Any]:
    return [trial["scale"] for trial in tuned["trials"]]


def _trials(tuned: Mapping[str, Any], like: Mapping[str, Any]) -> list[str]:
    """Return a cell per trial, with how it did, and what was chosen."""
    if not tuned:
        return ["—"] * (_count(like) + 1)
    cells = []
    for number, trial in enumerate(tuned["trials"]):
        outcomes = dict.fromkeys(said for said in trial["outcomes"] if said != "done")
        value = trial["value"]
        found = ", ".join(outcomes) if value is None else f"{value:.{tuned['digits']}f}"
        text = found if trial["scale"] is not None else f"{trial['said']}: {found}"
        cells.append(Bold(text) if number == tuned["chosen"] else text)
    is_open = tuned["chosen"] is None
    return [*cells, "—" if is_open else tuned["trials"][tuned["chosen"]]["said"]]


def _without(students: pd.DataFrame) -> list[str]:
    """Say which methods have no weight to choose."""
    names = students.loc[~students["tuned"].map(bool), "method"].unique()
    return [f"No weight to choose: {', '.join(names)}."] if len(names) else []
