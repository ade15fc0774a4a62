"""One line: which question the table or figure answers."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts.report import Report, Rows, Table

CAPTION = "What a column means, and over which runs it is taken: here the best and worst seed."


class Template(Report):
    """What is shown, and for which suites; nothing where the rows allow none."""

    defaults = {"digits": 2}  # what a suite may set, e.g. `template: {digits: 4}`
    order = 200  # position on the page; the main table has 10

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield one table: a row per data set, metric and method.

        `rows.scores` has a row per value: dataset, architecture, method, width, seed, metric,
        label, value, headline, ...; `rows.entries` one per place of the matrix, with its status.
        """
        scores = rows.scores
        if scores.empty:
            return
        shown = scores[scores["headline"] & (scores["role"] == "student") & scores["value"].notna()]
        block = []
        for (dataset, label, method), group in shown.groupby(
            ["dataset", "label", "method"], sort=False
        ):
            values = group["value"].astype(float)
            said = (f"{value:.{self.params['digits']}f}" for value in (values.min(), values.max()))
            block.append([str(dataset), str(label), str(method), *said])
        header = ["Data", "Metric", "Method", "Least", "Most"]
        if block:
            yield Table("template", "Range over seeds", CAPTION, header, [block])
