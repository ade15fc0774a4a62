"""PCA-KD's Table 1: parameters, and seconds per image by resolution."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Seconds
from reports._layout import Layout, network_table

SIZES = {
    "HD": "1280x720",
    "FHD": "1920x1080",
    "QHD": "2560x1440",
    "4K": "3840x2160",
    "5K": "5120x2880",
    "8K": "7680x4320",
}
LAYOUT = Layout(
    "pca_kd_table_1",
    "PCA-KD, Table 1",
    "Median seconds per image at batch 1, measured once per network: both encodings, transforms "
    "and decoding, without the guided filter. OOM: memory ran out; predicted: it would have, by "
    "what the size before took, so nobody tried. Sides are cut down to the multiple that a network "
    "needs. The paper's seconds are of another device, an RTX 8000: none of them stands here.",
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
    """One row per network, one column per resolution."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from network_table(LAYOUT, rows)
