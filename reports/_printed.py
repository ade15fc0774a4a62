"""The papers' numbers, and the join that finds the one of a place of the matrix.

`baselines/reported.csv` has a row per number as it was printed. Those that a matrix can have
name their place and `score` as suites do, and of the protocol what was stated: `epochs` (with
`epochs_text`, what was printed, where that leaves room for another reading), `checkpoint`,
`discriminator_width`, and how many `looks` at the test images a best checkpoint is of. A number of
a network as such, whatever trained it, names `architecture`, `width` and `score`, and no recipe.
"""

from __future__ import annotations

import functools
from typing import Any

import pandas as pd

from bench.plugins.source import ROOT

REPORTED = ROOT / "baselines" / "reported.csv"
BEST = "best on test"  # a checkpoint
LOGS = "logs"  # in place of a table: computed from what the authors published beside the paper
PLACE = ["dataset", "direction", "architecture", "width", "recipe"]


@functools.cache
def numbers() -> pd.DataFrame:
    """Return the printed numbers of places that a matrix can have; what is printed twice, once."""
    printed = _printed()
    printed = printed[(printed["recipe"] != "") & (printed["mean"] != "")]
    widths = [int(width) if width.isdecimal() else width for width in printed["width"]]
    printed = printed.assign(width=pd.Series(widths, printed.index, dtype=object))
    same = ["paper", *PLACE, "score", "mean", "std"]
    tables = printed.groupby(same)["table"].transform(lambda t: ", ".join(dict.fromkeys(t)))
    return printed.assign(table=tables).drop_duplicates(same)


@functools.cache
def networks() -> pd.DataFrame:
    """Return the printed numbers of networks; `mean` may be OOM."""
    printed = _printed()
    return printed[(printed["recipe"] == "") & (printed["architecture"] != "")]


def _printed() -> pd.DataFrame:
    return pd.read_csv(REPORTED, keep_default_na=False, dtype=str)


def same_place(frame: pd.DataFrame, place: pd.Series[Any]) -> pd.DataFrame:
    """Return the entries of a number's place, of any direction."""
    axes = [axis for axis in PLACE if axis != "direction"]
    return frame[(unlabelled(frame)[axes] == place[axes]).all(axis=1)]


def unlabelled(entries: pd.DataFrame) -> pd.DataFrame:
    """Return entries under the names that a suite has for their data sets and architectures."""
    names = {axis: f"{axis}_name" for axis in ("dataset", "architecture")}
    return entries.assign(**{axis: entries[n] for axis, n in names.items() if n in entries})


def text_of(number: pd.Series[Any]) -> str:
    """Return a printed number as it was printed."""
    return f"{number['mean']} ± {number['std']}" if number["std"] else str(number["mean"])
