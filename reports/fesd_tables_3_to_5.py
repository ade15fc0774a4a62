"""FESD's Tables 3 to 5: direction, length and share of the channel shift."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table
from reports._columns import Printed, Score
from reports._layout import SPREAD, Layout, Row, method_tables

MARKS = ("Direction", "|h|", "α")
BASES = (
    Row("dcd", ("–", "–", "–")),
    Row("fesd(direction=none, lambda_spec=0.0)", ("none", "–", "–")),
)
CHOSEN = Row("fesd(lambda_spec=0.0)", ("bi", "2", "1/8"))


def _layout(number: int, about: str, rows: tuple[Row, ...]) -> Layout:
    return Layout(
        f"fesd_table_{number}",
        f"FESD, Table {number}: {about}",
        f"The channel shift alone, without the spectral loss. The first student row is DCD, the "
        f"paper's base: its discriminator does not learn from the student's image, and it compares "
        f"VGG's features at one layer instead of four. The second, which the paper does not have, "
        f"differs from those below in the shift alone. |h| is its length in pixels, α the share of "
        f"channels. {SPREAD}",
        "FESD",
        (f"Table {number}",),
        columns=(Score("fid"), Printed("fid")),
        marks=MARKS,
        rows=(*BASES, *rows),
    )


LAYOUTS = (
    _layout(
        3,
        "direction",
        (
            Row("fesd(direction=uni, lambda_spec=0.0)", ("uni", "2", "1/8")),
            CHOSEN,
            Row("fesd(direction=cross, lambda_spec=0.0)", ("cross", "2", "1/8")),
            Row("fesd(direction=quad, lambda_spec=0.0)", ("quad", "2", "1/8")),
        ),
    ),
    _layout(
        4,
        "length",
        (
            CHOSEN,
            Row("fesd(lambda_spec=0.0, shift=4)", ("bi", "4", "1/8")),
            Row("fesd(lambda_spec=0.0, shift=8)", ("bi", "8", "1/8")),
        ),
    ),
    _layout(
        5,
        "share",
        (
            Row("fesd(lambda_spec=0.0, ratio=0.0625)", ("bi", "2", "1/16")),
            CHOSEN,
            Row("fesd(lambda_spec=0.0, ratio=0.25)", ("bi", "2", "1/4")),
        ),
    ),
)


class FESDShift(Report):
    """One row per setting of the shift."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        for layout in LAYOUTS:
            yield from method_tables(layout, rows)
