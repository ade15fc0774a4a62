"""What choosing a checkpoint by the test set does to a score: the last beside the best."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.report import Report, Rows, Table
from reports._format import ARROWS, SIZE, size, spread

CAPTION = (
    "The last checkpoint is the result. The best of several is what remains when each run reports "
    "whichever checkpoint scored best on the test images: it is not a result, it grows with the "
    "number of looks, and it is shown to tell how much of a published gain such a choice explains. "
    "Mean ± standard deviation (n - 1) over seeds."
)


class Selection(Report):
    """One row per method where a suite keeps snapshots: WKD reports the best of 40."""

    order = 30

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where snapshots were scored."""
        shown = rows.snapshots
        if shown.empty:
            return
        shown = shown[shown["headline"] & shown["value"].notna()]
        header = ["Data", "Width", "Method", "Metric", "Last", "Best of n (no result)", "n", "At"]
        blocks = []
        places = ["dataset", "direction", "architecture", "metric", *SIZE]
        for place, group in shown.groupby(places, sort=False):
            block: list[list[str]] = []
            for method, scores in group.groupby("method", sort=False):
                row = _row(scores)
                name = f"{place[0]} {place[1]}, {place[2]}" if not block else ""
                width = size(place[4], place[5], rows) if not block else ""
                block.append([name, width, str(method), *row])
            blocks.append(block)
        if blocks:
            yield Table("selection", "Last and best checkpoint", CAPTION, header, blocks)


def _row(scores: pd.DataFrame) -> list[str]:
    """Return one method's cells: metric, last, best, number of snapshots, where the best lie."""
    first = scores.iloc[0]
    last, best, steps = {}, {}, {}
    for seed, run in scores.groupby("seed"):
        last[seed] = run.sort_values("step")["value"].iloc[-1]
        ordered = run.sort_values("value", ascending=first["better"] == "lower")
        best[seed], steps[seed] = ordered["value"].iloc[0], ordered["step"].iloc[0]
    unit = f" [{first['unit']}]" if first["unit"] else ""
    return [
        f"{first['label']}{unit}{ARROWS.get(first['better'], '')}",
        *(spread(pd.Series(v, dtype=float), len(v), first["digits"]) for v in (last, best)),
        str(scores["step"].nunique()),
        "step " + ", ".join(str(step) for step in steps.values()),
    ]
