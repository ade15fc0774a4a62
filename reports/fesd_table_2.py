"""FESD's Table 2: similarity to the ground truth beside FID."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Printed, Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "fesd_table_2",
    "FESD, Table 2",
    f"{SPREAD} The first row is the original network.",
    "FESD",
    ("Table 2",),
    columns=tuple(
        column
        for metric, label in (("lpips", "LPIPS"), ("psnr", "PSNR"), ("fid", "FID"))
        for column in (Score(metric), Printed(metric, label=f"Paper's {label}"))
    ),
    rows=(Row("fesd*"),),
    recipes=("omgd*", "dcd*"),
)


class FESDPairs(Report):
    """The original and FESD by LPIPS, PSNR and FID."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
