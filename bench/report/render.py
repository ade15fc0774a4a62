"""Tables as markdown and CSV, escaped; CSV knows no bold type."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace

from bench.contracts.report import Answer, Bold, Table

HOLES = ("", "—", "-")  # cells that say nothing
NUMBER = re.compile(r"^[-+]?\d[\d.,]*( ± [\d.]+)?( .*)?$")  # or a score, as tables have it


def markdown(table: Table) -> str:
    """Return a pipe table with its title and caption."""
    lines = [f"### {_markdown(table.title)}", ""]
    lines.append("| " + " | ".join(_markdown(cell) for cell in table.header) + " |")
    lines.append("|" + " --- |" * len(table.header))
    for block in table.blocks:
        lines += ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in block]
    notes = [f"- {_markdown(note)}" for note in table.notes]
    return "\n".join([*lines, "", _markdown(table.caption), "", *notes, ""])


def answers(found: Sequence[Answer]) -> str:
    """Return the answers as a list in markdown."""
    return "".join(f"- {_markdown(f'{answer.about}: {answer.said}')}\n" for answer in found)


def without_empty(table: Table) -> Table:
    """Return the table without the columns in which nothing stands, in no row."""
    rows = [row for block in table.blocks for row in block]
    kept = [
        number
        for number, head in enumerate(table.header)
        if not rows or head == table.subject or any(row[number] not in HOLES for row in rows)
    ]
    return replace(
        table,
        header=[table.header[n] for n in kept],
        blocks=[[[row[n] for n in kept] for row in block] for block in table.blocks],
    )


def defused(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: text that looks like one is quoted."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return cell if NUMBER.match(cell) else f"'{cell}"
    return cell


def comma_separated(table: Table) -> str:
    """Return header and rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(defused, table.header))
    writer.writerows(map(defused, row) for block in table.blocks for row in block)
    return text.getvalue()


def filled(table: Table) -> list[list[list[tuple[str, bool]]]]:
    """Return (cell, whether it repeats the one above) in place of the table's cells.

    Empty cells at the start of a row stand for those above; a row that is sorted away from there
    has to bring them along.
    """
    blocks = []
    above: list[str] = []
    for block in table.blocks:
        rows = []
        for row in block:
            lead = next((i for i, cell in enumerate(row) if cell), 0) if above else 0
            above = [*above[:lead], *row[lead:]]
            rows.append([(cell, bool(cell) and i < lead) for i, cell in enumerate(above)])
        blocks.append(rows)
    return blocks


def _markdown(text: str) -> str:
    """Escape what would be markup; HTML in a markdown file is markup too, and so are formulas."""
    plain = " ".join(re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text).split())
    return f"**{plain}**" if plain and isinstance(text, Bold) else plain
