"""Spectral Diffusion's Table 2: FID beside what the network costs."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Score
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "sd_table_2",
    "SD, Table 2",
    "Whether a row has wavelet gates is its network's. MACs are true multiply-adds (C1), the "
    "paper's leave out the products of attention; ratios are to the teacher's exact counts. "
    f"Throughput is measured once per network: compare times of one device only. {SPREAD}",
    "SpectralDiffusion",
    ("Table 2",),
    columns=(Cost("params"), Cost("macs"), Score("throughput"), Score("fid")),
    rows=(Row("none"), Row("sd_native")),
)


class SDMain(Report):
    """Teacher, student alone, and SD."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from method_tables(LAYOUT, rows)
