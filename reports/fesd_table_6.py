"""FESD's Table 6: what each component adds."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Printed, Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "fesd_table_6",
    "FESD, Table 6: components",
    "Base: DCD; shift: the partial channel shift (PCS); spectral: the spectral loss. FESD without "
    "its shift and spectral loss, which differs from its next row in the shift alone, is not in "
    f"the paper's table. {SPREAD}",
    "FESD",
    ("Table 6",),
    columns=(Score("fid"), Printed("fid")),
    marks=("Base", "Shift", "Spectral"),
    rows=(
        Row("dcd", ("✓", "", "")),
        Row("fesd(direction=none, lambda_spec=0.0)", ("✓", "", "")),
        Row("fesd(lambda_spec=0.0)", ("✓", "✓", "")),
        Row("fesd", ("✓", "✓", "✓")),
    ),
)


class FESDComponents(Report):
    """One row per sum of components, ticked."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
