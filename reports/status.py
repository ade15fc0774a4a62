"""How every place of the matrix ended, and why."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from bench.report import Report, Rows, Table

HEADER = ["Data", "Architecture", "Method", "Width", "Seed", "Status", "Reason", "Cell", "Training"]


class Status(Report):
    """One row per cell: done, failed, diverged, skipped, started or missing."""

    order = 90

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table."""
        blocks = [
            [_row(entry) for entry in group.to_dict("records")]
            for _, group in rows.entries.groupby("dataset", sort=False)
        ]
        counts = rows.entries["status"].value_counts()
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        note = (
            "Training is a cell's share of the time in its cohort's loop. An operator named "
            "under Reason had no deterministic implementation."
        )
        yield Table("status", "Status of every cell", f"{summary}. {note}", HEADER, blocks)


def _row(entry: dict[Hashable, Any]) -> list[str]:
    seconds = entry["training_s"]
    return [
        *(str(entry[axis]) for axis in ("dataset", "architecture", "method", "width", "seed")),
        entry["status"],
        entry["reason"] or entry["nondeterministic"],
        entry["key"],
        "" if pd.isna(seconds) else f"{float(seconds):.0f} s",
    ]
