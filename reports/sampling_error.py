"""How far each score would move with other test images, beside its spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._format import SIZE, judged, marks, named, origins, places, ports, size

CAPTION = (
    "Two spreads of one score. Over seeds: standard deviation (n - 1) of trainings, on these test "
    "images. Over images: standard error of one training's score if as many other test images were "
    "drawn, mean over seeds (as the root of the mean square); exact for means over images, a "
    "bootstrap of 200 resamples for distances between sets, and a dash for other metrics and for "
    "scores that were made before there were such errors. Methods are judged on the same images, "
    "so what is hard for both cancels in a difference: `distillbench compare` says its own error."
)
HEADER = ["Data", "Width", "Metric", "Method", "n", "Mean", "± seeds", "± images"]


class SamplingError(Report):
    """One block per data set, width and metric, one row per method."""

    order = 17

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where a score has an error over images."""
        if rows.scores.empty or not rows.scores["image_error"].notna().any():
            return
        blocks = []
        for heading, entries, scores in places(rows):
            for (_, width, judge), group in entries.groupby(["role", *SIZE], sort=False):
                for _, column in judged(scores, group):
                    if column["image_error"].notna().any():
                        blocks.append(_block([heading, size(width, judge, rows)], column, group))
        title, signs = "Sampling errors", [*ports(rows.entries), *origins(rows.entries)]
        yield Table("sampling_error", title, CAPTION, HEADER, blocks, signs)


def _block(where: list[str], column: pd.DataFrame, group: pd.DataFrame) -> list[list[str]]:
    digits = int(column["digits"].iloc[0])
    block: list[list[str]] = []
    for method, entries in group.groupby("method", sort=False):
        mine = column[column["key"].isin(entries["key"])].drop_duplicates("key")
        values = mine["value"].astype(float)
        values = values[np.isfinite(values)]
        if values.empty:
            continue
        errors = mine["image_error"].dropna().astype(float)
        over_images = math.sqrt(np.square(errors).mean()) if len(errors) else math.nan
        numbers = (values.mean(), values.std(), over_images)
        first = ["", "", ""] if block else [*where, named(column.iloc[0])]
        cells = ["—" if math.isnan(x) else f"{x:.{digits}f}" for x in numbers]
        block.append([*first, f"{method}{marks(entries)}", str(len(values)), *cells])
    return block
