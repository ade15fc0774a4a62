"""WKD's Tables 1 to 3: eight methods, by size of the student."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Cost, Gain, Printed, Score
from reports._layout import SPREAD, Layout, method_tables

RECIPES = ("none", "hinton", "at", "gan_compression", "srkd", "cat", "vid", "wkd")
COSTS = (Cost("params"), Cost("macs", ("macs_c2",), "MACs (C2)"))
CAPTION = (
    f"{SPREAD} Δ is the gain over the student alone at the same seed, positive where better. MACs "
    "as the paper counts them (C2: with biases, norms and activations), at the suite's image "
    "size; the paper's are at 1024 x 1024 pixels in its Table 3, and leave out transposed "
    "convolutions for Pix2PixHD. Ratios to the teacher are of exact counts; the paper divides "
    "rounded ones (15.81× is 11.38M / 0.72M, where the counts give 15.90×)."
)

FID = Layout(
    "wkd_table_1_2",
    "WKD, Tables 1 and 2",
    CAPTION,
    "WKD",
    ("Table 1", "Table 2"),
    columns=(Score("fid"), Gain("fid"), Printed("fid")),
    shared=COSTS,
    recipes=RECIPES,
)
MIOU = Layout(
    "wkd_table_3",
    "WKD, Table 3",
    CAPTION,
    "WKD",
    ("Table 3",),
    columns=(Score("miou"), Gain("miou"), Printed("miou")),
    shared=COSTS,
    recipes=RECIPES,
)


class WKDTables(Report):
    """One block per size: parameters and MACs once, then method, score and gain."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        yield from list(method_tables(MIOU, rows)) or method_tables(FID, rows)
