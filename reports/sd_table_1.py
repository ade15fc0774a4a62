"""Spectral Diffusion's Table 1: error of low and of high frequencies."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Score
from reports._layout import SPREAD, Layout, Row, method_tables

HIGH = tuple(f"{band}{level}" for level in (3, 2, 1) for band in ("LH", "HL", "HH"))
LAYOUT = Layout(
    "sd_table_1",
    "SD, Table 1: error by frequency",
    "SD here is a port of a diffusion method to translation, without its wavelet gating. Low: "
    "error of the band LL3; high: mean error of the nine other bands, as in the table "
    f"of band errors; the paper's own measure is not known to us. {SPREAD}",
    "SpectralDiffusion",
    ("Table 1",),
    columns=(
        Score("band_error", ("LL3",), "Low-frequency error ↓"),
        Score("band_error", HIGH, "High-frequency error ↓"),
    ),
    rows=(Row("none"), Row("sd")),
)


class SDErrors(Report):
    """Teacher, student alone, and SD."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
