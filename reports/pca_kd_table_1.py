"""PCA-KD's Table 1: parameters, and seconds per image by resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Seconds
from reports._layout import Layout, network_table
from reports._printed import networks

SIZES = {
    "HD": "1280x720",
    "FHD": "1920x1080",
    "QHD": "2560x1440",
    "4K": "3840x2160",
    "5K": "5120x2880",
    "8K": "7680x4320",
}
LATENCIES = {f"{name} {size} [s]": f"latency_{size}" for name, size in SIZES.items()}
LAYOUT = Layout(
    "pca_kd_table_1",
    "PCA-KD, Table 1",
    "Median seconds per image at batch 1, measured once per network: both encodings, transforms "
    "and decoding, without the guided filter. OOM: memory ran out; predicted: it would have, by "
    "what the size before took, so nobody tried. Sides are cut down to the multiple that a network "
    "needs. Below stands what the paper printed for networks of these widths. Its parameters "
    "compare with ours but for two: Ours-Mob's 73K count 20,096 entries of the eigenbases, and the "
    "7.05M of PhotoWCT2 come out of no variant of its code. Its seconds are of another device, "
    "an RTX 8000 of 48 GB, and compare with none of ours.",
    "PCA-KD",
    ("Table 1",),
    columns=(
        Cost("params"),
        *(
            Seconds(
                "latency_by_size",
                (f"latency_{size}",),
                f"{name} {size} [s]",
                predicted=f"predicted_{size}",
            )
            for name, size in SIZES.items()
        ),
    ),
)


class Resolutions(Report):
    """One row per network, one column per resolution; then the same rows as printed."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        for table in network_table(LAYOUT, rows):
            printed = list(_printed(table))
            yield replace(table, blocks=[*table.blocks, printed]) if printed else table


def _printed(table: Table) -> Iterator[list[str]]:
    """Yield what the paper printed of the table's networks, in its columns."""
    found = networks()
    found = found[found["paper"] == LAYOUT.paper]
    first = ["printed by PCA-KD"]
    for name in dict.fromkeys(row[1] for block in table.blocks for row in block):
        mine = found[found["architecture"] + " " + found["width"] == name]
        if len(mine):
            values = mine.set_index("score")["mean"]
            cells = [_cell(values, heading) for heading in table.header[2:]]
            yield [*first, f"{mine['model'].iloc[0]} ({name})", *cells]
            first = [""]


def _cell(values: pd.Series[str], heading: str) -> str:
    if heading in LATENCIES:
        return str(values.get(LATENCIES[heading], ""))
    return f"{values['params']}M"
