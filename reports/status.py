"""How every place of the matrix ended, and why."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.contracts.report import Report, Rows, Table, lacking, tally
from reports._format import origins, ports, size

HEADER = ["Data", "Architecture", "Method", "Width", "Seed", "Status", "Reason", "Cell", "Training"]


class Status(Report):
    """One row per cell: done, failed, diverged, skipped, started or missing."""

    order = 90

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table."""
        undefined = _undefined(rows.scores)
        missing = lacking(rows)
        blocks = [
            [_row(entry, rows, undefined, missing) for entry in group.to_dict("records")]
            for _, group in rows.entries.groupby("dataset", sort=False)
        ]
        summary = ", ".join(f"{count} {said}" for said, count in tally(rows).items())
        note = (
            "Training is a cell's share of the time in its cohort's loop. An operator named "
            "under Reason had no deterministic implementation."
        )
        caption = f"{summary}. {note}"
        title = "Status of every cell"
        signs = [*ports(rows.entries), *origins(rows.entries)]
        yield Table("status", title, caption, HEADER, blocks, signs)


def _undefined(scores: pd.DataFrame) -> dict[str, str]:
    """Return cell -> which of its scores are no numbers, and why."""
    if scores.empty:
        return {}
    odd = scores[(scores["reason"] == "") & scores["value"].isna()]
    said: dict[str, dict[str, None]] = {}
    for score in odd.to_dict("records"):
        text = f"{score['label']} is no number: {score['undefined']}".removesuffix(": ")
        said.setdefault(str(score["key"]), {})[text] = None
    return {key: "; ".join(texts) for key, texts in said.items()}


def _row(
    entry: dict[Hashable, Any],
    rows: Rows,
    undefined: Mapping[str, str],
    missing: Mapping[str, str],
) -> list[str]:
    seconds = entry["training_s"]
    return [
        entry["dataset"],
        entry["architecture"],
        f"{entry['method']}{' †' * bool(entry['port'])}{' ‡' * bool(entry['origin'])}",
        size(entry["width"], entry["discriminator_width"], rows),
        str(entry["seed"]),
        entry["status"],
        entry["reason"]
        or entry["nondeterministic"]
        or missing.get(entry["key"])
        or undefined.get(entry["key"], ""),
        entry["key"],
        "" if pd.isna(seconds) else f"{float(seconds):.0f} s",
    ]
