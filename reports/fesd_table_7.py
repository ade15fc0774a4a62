"""FESD's Table 7: latency of the original network and of the small one."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Reduction, Score
from reports._layout import Layout, network_table

LAYOUT = Layout(
    "fesd_table_7",
    "FESD, Table 7: latency",
    "Mean time of a call, batch 1, measured once per network: compare times of one device only. "
    "MACs as the paper counts them (C3: transposed convolutions at their output). Reductions are "
    "against the widest ResNet-9, the original.",
    "FESD",
    ("Table 7",),
    columns=(
        Cost("macs", ("macs_c3",), "MACs (C3)", "%"),
        Cost("params", reduction="%"),
        Score("latency", ("latency_mean",), "Latency [ms]"),
        Reduction("latency", ("latency_mean",), "Reduction"),
    ),
    networks=("resnet9", "mobile_resnet9"),
)


class FESDLatency(Report):
    """One row per network."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from network_table(LAYOUT, rows)
