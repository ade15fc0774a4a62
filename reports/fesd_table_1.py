"""FESD's Table 1: compression methods, and how far each is from the original."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Improvement, Printed, Score
from reports._layout import SPREAD, Layout, method_tables

LAYOUT = Layout(
    "fesd_table_1",
    "FESD, Table 1",
    f"{SPREAD} The original is the teacher of the methods whose teacher is frozen. In brackets: "
    "how much smaller than the original. MACs as the paper counts them (C3: transposed "
    "convolutions at their output). Improvement: the original's mean minus the row's, positive "
    "where better; no seed pairs the two, so it has no deviation of its own.",
    "FESD",
    ("Table 1",),
    columns=(
        Cost("macs", ("macs_c3",), "MACs (C3)", "%"),
        Cost("params", reduction="%"),
        Score("fid"),
        Improvement("fid"),
        Printed("fid"),
    ),
    recipes=("omgd*", "dcd*", "fesd*"),
)


class FESDMain(Report):
    """One row per method under the original."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
