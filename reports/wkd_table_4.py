"""WKD's Table 4: which frequency bands are distilled."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Gain, Printed, Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "wkd_table_4",
    "WKD, Table 4: bands",
    f"Low: LL3; high: all other bands of the three levels. {SPREAD} Δ is the gain over the student "
    "alone at the same seed, positive where better.",
    "WKD",
    ("Table 4",),
    columns=(Score("fid"), Gain("fid"), Printed("fid")),
    marks=("Low", "High"),
    rows=(
        Row("none"),
        Row("wkd(bands=low)", ("✓", "")),
        Row("wkd", ("", "✓")),
        Row("wkd(bands=both)", ("✓", "✓")),
    ),
)


class WKDBands(Report):
    """One row per choice of bands, ticked."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
