"""The rows as they are shown: under their labels, and by the metrics that were chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.contracts.report import Rows
from bench.errors import ReportError, unknown

FRAMES = ("entries", "scores", "snapshots", "losses", "references", "untrained", "hidden")


def chosen(rows: Rows, metrics: Sequence[str]) -> Rows:
    """Return the rows with the scores of some metrics alone, in their order; none: of all.

    Raises:
        ReportError: a metric that has no score here.
    """
    if not metrics:
        return rows
    known = list(dict.fromkeys(map(_plain, rows.scores["metric"]))) if len(rows.scores) else []
    for name in metrics:
        if name not in known:
            raise ReportError(unknown("metric", name, known, "--columns"))
    order = {name: number for number, name in enumerate(metrics)}

    def of(scores: pd.DataFrame) -> pd.DataFrame:
        if scores.empty:
            return scores
        places = scores["metric"].map(_plain).map(order).dropna().sort_values(kind="stable")
        return scores.loc[places.index]

    shown = replace(
        rows,
        scores=of(rows.scores),
        snapshots=of(rows.snapshots),
        references=of(rows.references),
        untrained=of(rows.untrained),
    )
    left = [rows.scores.drop(shown.scores.index), rows.untrained.drop(shown.untrained.index)]
    return replace(shown, hidden=pd.concat(left))


def _plain(metric: str) -> str:
    """Return a metric's name without the mode in which its images were made."""
    return metric.partition(" (")[0]


def labelled(rows: Rows, labels: Mapping[str, Mapping[str, str]]) -> Rows:
    """Return the rows with labels in place of names, which go on as `dataset_name` and the like.

    Args:
        rows: of a suite.
        labels: axis -> name -> label.
    """

    def of(frame: pd.DataFrame) -> pd.DataFrame:
        axes = [axis for axis, said in labels.items() if said and axis in frame]
        names = {f"{axis}_name": frame[axis] for axis in axes}
        said = {axis: frame[axis].map(lambda n, by=labels[axis]: by.get(n, n)) for axis in axes}
        return frame.assign(**said, **names)

    frames: dict[str, Any] = {name: of(getattr(rows, name)) for name in FRAMES}
    return replace(rows, **frames)
