"""How strongly each method pulls at the student, beside the original loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._format import marks, ports, size

CAPTION = (
    "Norm of the gradient of a method's terms in the student's generators over that of the "
    "original loss's gradient, at three moments of training: mean ± standard deviation over seeds "
    "(and peers). What pulls with 1 % has hardly a say, and a table of methods at such different "
    "strengths compares their weights as much as their ideas. `alone`: no original term is kept."
)
PLACE = ["dataset", "architecture", "width", "discriminator_width"]


class GradientShare(Report):
    """One row per method of a place; one column per moment."""

    order = 40

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where runs have measured it."""
        if "pulls" not in rows.entries:
            return
        students = rows.entries[rows.entries["role"] == "student"]
        found = pd.DataFrame(_measured(students))
        if found.empty:
            return
        moments = sorted(found["moment"].unique())
        blocks = []
        for place, group in students.groupby(PLACE, sort=False):
            dataset, architecture, width, judge = place
            block: list[list[str]] = []
            for method, seeds in group.groupby("method", sort=False):
                mine = found[found["key"].isin(seeds["key"])]
                for part, pulls in mine.groupby("part", sort=False):
                    named = str(method) if mine["part"].nunique() == 1 else f"{method}: {part}"
                    first = ["", ""]
                    if not block:
                        first = [f"{dataset}, {architecture}", size(width, judge, rows)]
                    cells = [_share(pulls[pulls["moment"] == moment]) for moment in moments]
                    block.append([*first, f"{named}{marks(seeds)}", *cells])
            if block:
                blocks.append(block)
        ends = [f"at {n}/{len(moments)} [%]" for n in moments[:-1]] + ["at the end [%]"]
        header = ["Data", "Width", "Method", *ends]
        title = "Gradient shares"
        yield Table("gradient_share", title, CAPTION, header, blocks, ports(students))


def _measured(students: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield each measured share: cell, moment (from 1), method, share; None where it is alone."""
    for entry in students.to_dict("records"):
        for moment, taken in enumerate(entry["pulls"] or [], 1):
            for name, share in taken["pulls"].items():
                part = name.rpartition(".")[2]  # without the peer
                yield {"key": entry["key"], "moment": moment, "part": part, "share": share}


def _share(pulls: pd.DataFrame) -> str:
    if pulls.empty:
        return "—"
    shares = pulls["share"].dropna().astype(float)
    if shares.empty:
        return "alone"
    percent = 100 * shares
    digits = 0 if percent.mean() >= 10 else 1 if percent.mean() >= 1 else 2
    text = f"{percent.mean():.{digits}f}"
    return f"{text} ± {percent.std():.{digits}f}" if len(shares) > 1 else text
