"""Spectral Diffusion's Table 1: error of low and of high frequencies."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "sd_table_1",
    "SD, Table 1: error by frequency",
    "What the paper measures is not known to us. Here: one step of denoising held-out images, and "
    "the error of the clean image that it implies, in the low band and in the details of one level "
    "of Haar; the table of the sign of the spectral error has what samples show. Whether a row "
    f"has wavelet gates is its network's. {SPREAD}",
    "SpectralDiffusion",
    ("Table 1",),
    columns=tuple(
        Score("denoising", (f"{band}_{time}",), f"{said} frequencies, t = {time} ↓")
        for time in (20, 50)
        for band, said in (("low", "Low"), ("high", "High"))
    ),
    rows=(Row("none"), Row("sd_native")),
)


class SDErrors(Report):
    """Teacher, student alone, and SD."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
