"""WKD's Table 5: who teaches by wavelets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from bench.contracts.report import Report, Rows, Table
from reports._columns import Gain, Printed, Score
from reports._format import spread
from reports._layout import SPREAD, Layout, Row, method_tables

LAYOUT = Layout(
    "wkd_table_5",
    "WKD, Table 5: paradigms",
    f"{SPREAD} Δ is the gain over the student alone at the same seed, positive where better. Of "
    "several peers the mean is scored. The paper does not state the sizes of its assistants.",
    "WKD",
    ("Table 5",),
    columns=(Score("fid"), Gain("fid"), Printed("fid")),
    marks=("Paradigm",),
    rows=(
        Row("none", ("student alone",)),
        Row("wkd", ("teacher and student (TSKD)",)),
        Row("wkd, assistant *", ("teacher's assistant (TAKD)",)),
        Row("wkd, teacher of the same size", ("self-distillation",)),
        Row("wkd, * peers", ("deep mutual learning (DML)",)),
    ),
)


class WKDParadigms(Report):
    """One row per paradigm; the assistants' own scores are footnotes."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where the suite has its rows."""
        for table in method_tables(LAYOUT, rows):
            yield replace(table, notes=[*_assistants(rows), *table.notes])


def _assistants(rows: Rows) -> Iterator[str]:
    """Yield what each assistant scores itself."""
    entries = rows.entries[rows.entries["role"] == "assistant"]
    scores = rows.scores[(rows.scores["metric"] == "fid") & rows.scores["headline"]]
    for place, seeds in entries.groupby(["dataset", "method", "width"], sort=False):
        mine = scores[scores["key"].isin(seeds["key"]) & (scores["dataset"] == place[0])]
        for direction, found in mine.groupby("direction", sort=False):
            values = found.drop_duplicates("key")["value"].dropna().astype(float)
            if len(values):
                fid = spread(pd.Series(values), len(seeds), int(found["digits"].iloc[0]))
                yield f"{place[1]}, width {place[2]} ({place[0]} {direction}): FID {fid}."
