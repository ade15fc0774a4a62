"""Too much or too little of low and of high frequencies: what an absolute error hides."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._format import (
    Note,
    beside,
    by_method,
    drawn,
    merged,
    origins,
    places,
    ports,
    protocols,
    spread,
)
from reports._select import finite
from reports.spectra import levels

CAPTION = (
    "Power of the outputs over that of the real images, in dB, mean over radii of the spectrum: "
    "low frequencies are the lower half of the radii, high ones the upper half. Above 0 there is "
    "too much power (noise, artefacts), below 0 too little (blur). Mean ± standard deviation "
    "(n - 1) over seeds."
)


class SpectralSign(Report):
    """One row per method of a place; low, high and all frequencies."""

    order = 22

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the metric `spectrum` was taken."""
        if rows.scores.empty:
            return
        taken = finite(rows.scores[rows.scores["metric"] == "spectrum"])
        blocks: list[list[list[str]]] = []
        notes: list[Note] = []
        for heading, entries, scores in places(rows):
            mine = taken[taken.index.isin(scores.index)]
            block = by_method(rows, heading, entries, mine, _cells)
            if block:
                blocks.append(block)
                notes += protocols(mine, heading)
                if len(floor := beside(rows, entries, mine)):
                    block.append(["", "—", "real images", *_cells(floor, 1)])
                    notes += drawn(floor, heading)
        if blocks:
            header = ["Data", "Width", "Method", "low [dB]", "high [dB]", "all [dB]"]
            said = merged([*notes, *ports(rows.entries), *origins(rows.entries)])
            title = "Sign of the spectral error"
            yield Table("spectral_sign", title, CAPTION, header, blocks, said)


def _cells(scores: pd.DataFrame, seeds: int) -> list[str]:
    return [spread(part, seeds, 2, signed=True) for part in signs(scores)]


def signs(scores: pd.DataFrame) -> Iterator[pd.Series[float]]:
    """Yield one value per seed for the low half of the radii, the high half, and all: in dB."""
    ratio = levels(scores, "out") - levels(scores, "real")
    half = len(ratio) // 2
    for part in (ratio.iloc[:half], ratio.iloc[half:], ratio):
        yield part.mean()
