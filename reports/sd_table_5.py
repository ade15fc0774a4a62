"""Spectral Diffusion's Table 5: what each term adds."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Gain, Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "sd_table_5",
    "SD, Table 5: terms",
    "The paper's third component, wavelet gating, is the network's: there is a block for each, and "
    f'"One thing apart" has one against the other. {SPREAD} Δ is the gain over the student alone '
    "on the same network at the same seed, positive where better.",
    "SpectralDiffusion",
    ("Table 5",),
    columns=(Score("fid"), Gain("fid")),
    marks=("Spatial", "Frequency"),
    rows=(
        Row("none"),
        Row("sd_native(frequency=0.0)", ("✓", "")),
        Row("sd_native(spatial=0.0)", ("", "✓")),
        Row("sd_native", ("✓", "✓")),
    ),
)


class SDTerms(Report):
    """One row per sum of terms, ticked."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
