"""Students that did not train: why, and the scores that rank nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bench.contracts.report import Report, Rows, Table
from bench.contracts.verdict import NOT_TRAINED
from reports._format import Note, merged, places, ports, protocols, size, titled

CAPTION = (
    "These runs ended, but their task or method says that what they learnt is too little for their "
    "scores to tell anything about the method, and what it would have taken. The scores are shown "
    "as evidence. They are in no gain, test or rank, and in no mean of runs that trained; a figure "
    "may show them apart, hollow. A reason that is of held-out contents was found on the test "
    "split: means elsewhere are then of survivors that were selected on the very images that score "
    "them."
)


class NotTrained(Report):
    """One row per run, one block per data set, architecture and direction."""

    order = 11

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where a run counts as not trained."""
        entries = rows.entries[rows.entries["status"] == NOT_TRAINED]
        if entries.empty:
            return
        shown = rows.untrained
        if len(shown):
            shown = shown[shown["headline"] & shown["value"].notna()]
        metrics = shown.drop_duplicates("metric").to_dict("records") if len(shown) else []
        blocks: list[list[list[str]]] = []
        notes: list[Note | str] = []
        for heading, mine, scores in places(replace(rows, entries=entries, scores=shown)):
            values: Mapping[Any, float] = {}
            if len(scores):
                notes += protocols(scores, heading)
                values = scores.set_index(["key", "metric"])["value"].to_dict()
            block: list[list[str]] = []
            for entry in mine.to_dict("records"):
                where = "" if block else heading
                cells = [_cell(values.get((entry["key"], m["metric"])), m) for m in metrics]
                block.append([where, *_run(entry, rows), *cells])
            blocks.append(block)
        header = ["Data", "Width", "Method", "Seed", "Why", *map(titled, metrics)]
        said = merged([*notes, *ports(entries)])
        yield Table("not_trained", "Not trained", CAPTION, header, blocks, said)


def _run(entry: dict[Hashable, Any], rows: Rows) -> list[str]:
    """Return which run it is, and why it counts as not trained."""
    name = f"{entry['method']} †" if entry["port"] else str(entry["method"])
    width = size(entry["width"], entry["discriminator_width"], rows)
    return [width, name, str(entry["seed"]), str(entry["reason"])]


def _cell(value: float | None, metric: dict[Hashable, Any]) -> str:
    return "—" if value is None else f"{value:.{metric['digits']}f}"
