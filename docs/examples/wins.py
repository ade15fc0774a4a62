"""How often a method was better than the student alone."""

from collections.abc import Iterator

import pandas as pd

from bench.contracts.report import Report, Rows, Table

PLACE = ["dataset", "direction", "architecture", "width", "discriminator_width"]


class Wins(Report):
    """A line for each method: how many of its runs beat that of `none`, place by place."""

    order = 40  # its place on the page

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table, where a suite has students with and without a teacher."""
        scores = rows.scores  # a row for every value; see `bench/report/rows.py`
        if scores.empty:
            return
        is_quality = scores["headline"] & (scores["judges"] == "images") & (scores["better"] != "")
        scores = scores[is_quality & (scores["role"] == "student")].dropna(subset="value")
        alone = scores[scores["method"] == "none"]
        taught = scores[scores["method"] != "none"]
        pairs = taught.merge(alone, on=[*PLACE, "seed", "label"], suffixes=("", "_alone"))
        if pairs.empty:
            return
        sign = pairs["better"].map({"higher": 1, "lower": -1})
        pairs["won"] = sign * (pairs["value"] - pairs["value_alone"]) > 0
        labels = list(pairs["label"].unique())
        lines = [
            [str(method), *(_share(mine[mine["label"] == label]["won"]) for label in labels)]
            for method, mine in pairs.groupby("method", sort=False)
        ]
        caption = "Runs that were better than the student alone at the same place and seed."
        yield Table("wins", "Wins over the student alone", caption, ["Method", *labels], [lines])


def _share(won: "pd.Series[bool]") -> str:
    return f"{won.sum()} of {len(won)}" if len(won) else "—"
