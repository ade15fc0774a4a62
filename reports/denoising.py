"""What one step of a diffusion model leaves of noise, and of low and high frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._format import Note, by_method, merged, origins, places, ports, protocols, spread
from reports._select import finite

CAPTION = (
    "One step from held-out images with noise, the same for all networks; no samples are made. "
    "Noise: mean squared error of the noise that is found, at each time; 1 is what finding none "
    "would get. Low, high: error of the clean image that this implies, in the low band and in the "
    "details of one level of Haar, over their size; 1 is what an image without them would get. "
    "Mean ± standard deviation (n - 1) over seeds."
)
WORDS = {"noise": "noise", "low": "low band", "high": "details"}


class DenoisingErrors(Report):
    """One row per method of a place; a column per error and time."""

    order = 23

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the metric `denoising` was taken."""
        if rows.scores.empty:
            return
        taken = finite(rows.scores[rows.scores["metric"] == "denoising"])
        names = [name for name in taken["name"].unique() if "_" in name]
        blocks: list[list[list[str]]] = []
        notes: list[Note] = []
        for heading, entries, scores in places(rows):
            mine = taken[taken.index.isin(scores.index)]
            block = by_method(rows, heading, entries, mine, partial(_cells, names=names))
            if block:
                blocks.append(block)
                notes += protocols(mine, heading)
        if blocks:
            header = ["Data", "Width", "Method", *map(_titled, names)]
            said = merged([*notes, *ports(rows.entries), *origins(rows.entries)])
            yield Table("denoising", "One step of denoising", CAPTION, header, blocks, said)


def _cells(scores: pd.DataFrame, seeds: int, names: list[str]) -> list[str]:
    digits = int(scores["digits"].iloc[0])
    return [spread(scores.loc[scores["name"] == n, "value"], seeds, digits) for n in names]


def _titled(name: str) -> str:
    error, _, time = name.partition("_")
    return f"{WORDS[error]}, t = {time} ↓"
