"""What choosing a checkpoint by the test set does to a score: the last beside the best."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._format import SIZE, marks, ports, size, spread, titled

CAPTION = (
    "The last checkpoint is the result. The best of several is what remains when each run reports "
    "whichever checkpoint scored best on the test images: it is not a result, it grows with the "
    "number of looks, and it is shown to tell how much of a published gain such a choice explains. "
    "Mean ± standard deviation (n - 1) over seeds; a seed that is missing, failed or diverged is "
    "named and in neither."
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
        students = rows.entries[rows.entries["role"] == "student"]
        sizes = dict(list(students.groupby(["dataset", "architecture", *SIZE], sort=False)))
        places = ["dataset", "direction", "architecture", "metric", *SIZE]
        for place, group in shown.groupby(places, sort=False):
            dataset, direction, network, _, width, judge = place
            block: list[list[str]] = []
            trained = sizes[dataset, network, width, judge]
            for method, seeds in trained.groupby("method", sort=False):
                first = [f"{dataset} {direction}, {network}", size(width, judge, rows)]
                row = _row(group[group["method"] == method], group.iloc[0], len(seeds))
                block.append([*(["", ""] if block else first), f"{method}{marks(seeds)}", *row])
            blocks.append(block)
        if blocks:
            title = "Last and best checkpoint"
            yield Table("selection", title, CAPTION, header, blocks, ports(students))


def _row(scores: pd.DataFrame, first: pd.Series[str], seeds: int) -> list[str]:
    """Return one method's cells: metric, last, best, number of snapshots, where the best lie."""
    in_time = scores.sort_values("step").astype({"value": float})
    ranked = in_time.sort_values("value", ascending=first["better"] == "lower", kind="stable")
    last, best = in_time.groupby("seed").last(), ranked.groupby("seed").first()
    return [
        titled(first),
        *(spread(found["value"], seeds, int(first["digits"])) for found in (last, best)),
        str(scores["step"].nunique()),
        f"step {', '.join(map(str, best['step']))}" if len(best) else "—",
    ]
