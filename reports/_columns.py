"""The columns of the papers' tables: costs, scores, gains, and what was printed."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from reports._format import spread, titled
from reports._printed import BEST, PLACE, text_of, unlabelled

UNITS = {"params": (1e6, "M"), "macs": (1e9, "G")}


@dataclass(frozen=True, eq=False)
class Place:
    """The scores of a data set and architecture in one direction, and what a paper printed."""

    scores: pd.DataFrame
    printed: pd.DataFrame  # of any place
    known: dict[tuple[str, tuple[str, ...]], pd.Series[float]] = field(default_factory=dict)

    @functools.cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """What is said of each metric: label, unit, digits, judges, better."""
        said = self.scores.drop_duplicates("metric").set_index("metric")
        return {str(name): dict(row) for name, row in said.iterrows()}

    @functools.cached_property
    def numbers(self) -> dict[tuple[Any, ...], pd.Series[Any]]:
        """What was printed, by place and score; the first where several tables differ."""
        first = self.printed.drop_duplicates([*PLACE, "score"])
        return {(*number[PLACE], number["score"]): number for _, number in first.iterrows()}

    def values(self, metric: str, names: tuple[str, ...]) -> pd.Series[float]:
        """Return one value per key: the headline, or the mean of named values if all are there."""
        if (metric, names) not in self.known:
            found = self.scores[(self.scores["metric"] == metric) & self.scores["value"].notna()]
            found = found[found["name"].isin(names) if names else found["headline"]]
            found = found.drop_duplicates(["key", "name"]).astype({"value": float})
            runs = found.groupby("key", sort=False)["value"].agg(["mean", "count"])
            self.known[metric, names] = runs.loc[runs["count"] == max(len(names), 1), "mean"]
        return self.known[metric, names]


class Line(NamedTuple):
    """The seeds of one row, and what they are compared with."""

    name: str  # of the method or network
    marks: tuple[str, ...]  # what the paper says of the row in columns of its own
    seeds: pd.DataFrame  # entries
    original: pd.DataFrame  # entries of the teacher, or of the network that all are smaller than
    control: pd.DataFrame  # entries of the student alone, of the same size
    place: Place


@dataclass(frozen=True)
class Column:
    """One column, about one metric."""

    metric: str
    names: tuple[str, ...] = ()  # the values whose mean it takes; none: the metric's headline
    label: str = ""  # of the heading; none: the metric's own

    def heading(self, lines: Sequence[Line]) -> str:
        """Return the heading: label, unit and which way is better."""
        if self.label:
            return self.label
        return titled(lines[0].place.metrics[self.metric])

    def cell(self, line: Line) -> str:
        """Return the cell of one row."""
        raise NotImplementedError

    def notes(self, lines: Sequence[Line]) -> list[str]:
        """Return what has to be said under the table if the column is in it."""
        return []

    def of(self, line: Line, entries: pd.DataFrame) -> pd.Series[float]:
        """Return the values of some entries by seed."""
        found = line.place.values(self.metric, self.names).reindex(entries["key"])
        return found.set_axis(entries["seed"]).dropna()

    def digits(self, line: Line) -> int:
        """Return the metric's decimal places."""
        return int(line.place.metrics[self.metric]["digits"])


@dataclass(frozen=True)
class Score(Column):
    """Mean ± standard deviation over seeds; what is measured on the network, once."""

    def cell(self, line: Line) -> str:
        """Return the cell."""
        values = self.of(line, line.seeds)
        if values.empty:
            return "—"
        if line.place.metrics[self.metric]["judges"] == "images":
            return spread(values, len(line.seeds), self.digits(line))
        return f"{values.iloc[0]:.{self.digits(line)}f}"


@dataclass(frozen=True)
class Seconds(Score):
    """Milliseconds as seconds per image, OOM where memory ran out, or would have."""

    predicted: str = ""  # value that is there where nobody tried

    def cell(self, line: Line) -> str:
        """Return the cell."""
        values = self.of(line, line.seeds)
        if values.empty:
            return "—"
        if math.isfinite(values.iloc[0]):
            return f"{values.iloc[0] / 1000:.2f}"
        untried = line.place.values(self.metric, (self.predicted,)).reindex(line.seeds["key"])
        return "OOM (predicted)" if untried.notna().any() else "OOM"


@dataclass(frozen=True)
class Cost(Column):
    """A count in M or G, and how much smaller it is than the original's, as × or in %."""

    reduction: str = "×"

    def cell(self, line: Line) -> str:
        """Return the cell."""
        values, above = self.of(line, line.seeds), self.of(line, line.original)
        if values.empty:
            return "—"
        unit, letter = UNITS[self.metric]
        count = values.iloc[0]
        text = f"{count / unit:.2f}{letter}" if count >= unit else f"{count / unit:.3g}{letter}"
        if above.empty or above.iloc[0] == count:
            return text
        if self.reduction == "×":
            return f"{text} ({above.iloc[0] / count:.2f}×)"
        return f"{text} ({_percent(count, above.iloc[0])})"


@dataclass(frozen=True)
class Reduction(Column):
    """How much less than the original's, in %."""

    def cell(self, line: Line) -> str:
        """Return the cell; empty for the original itself."""
        values, above = self.of(line, line.seeds), self.of(line, line.original)
        if values.empty or above.empty or line.seeds["key"].isin(line.original["key"]).all():
            return ""
        return _percent(values.iloc[0], above.iloc[0])


@dataclass(frozen=True)
class Gain(Column):
    """Mean gain over the student alone, paired by seed; positive where better."""

    label: str = "Δ"

    def cell(self, line: Line) -> str:
        """Return the cell; empty for the control itself and for the teacher."""
        if line.control.empty or line.seeds["key"].isin(line.control["key"]).all():
            return ""
        gains = (self.of(line, line.seeds) - self.of(line, line.control)).dropna()
        return spread(self.sign(line) * gains, len(line.seeds), self.digits(line), signed=True)

    def sign(self, line: Line) -> int:
        """Return 1 where higher is better, else -1."""
        return 1 if line.place.metrics[self.metric]["better"] == "higher" else -1


@dataclass(frozen=True)
class Improvement(Gain):
    """Difference between the means of the original and of the row; positive where better."""

    label: str = "Improvement"

    def cell(self, line: Line) -> str:
        """Return the cell; without a deviation, as no seed pairs the two."""
        mine, above = self.of(line, line.seeds), self.of(line, line.original)
        if mine.empty or above.empty or line.seeds["key"].isin(line.original["key"]).all():
            return ""
        gain = pd.Series([self.sign(line) * (mine.mean() - above.mean())])
        return spread(gain, 1, self.digits(line), signed=True)


@dataclass(frozen=True)
class Printed(Column):
    """What the paper printed for the same place of the matrix."""

    label: str = "Paper"

    def cell(self, line: Line) -> str:
        """Return the number as it was printed; empty where there is none."""
        found = self._number(line)
        return "" if found is None else text_of(found)

    def heading(self, lines: Sequence[Line]) -> str:
        """Return the heading, with a checkpoint that was chosen by the test images."""
        chosen = any(n["checkpoint"] == BEST for n in self._numbers(lines))
        return f"{self.label} ({BEST})" if chosen else self.label

    def notes(self, lines: Sequence[Line]) -> list[str]:
        """Return where the numbers are from, and that the column judges nothing."""
        found = self._numbers(lines)
        said = {f"{n['trials'] or 'one or not stated'}, {n['checkpoint']}" for n in found}
        text = (
            f"{self.label}: printed by {found[0]['paper']} for the same data, direction, network, "
            f"width and recipe (trials and checkpoint: {'; '.join(sorted(said))}). Whether the two "
            'compare is judged under "Beside the papers".'
        )
        return [text]

    def _numbers(self, lines: Sequence[Line]) -> list[pd.Series[Any]]:
        return [number for line in lines if (number := self._number(line)) is not None]

    def _number(self, line: Line) -> pd.Series[Any] | None:
        place = {
            **unlabelled(line.seeds).iloc[0],
            "direction": line.place.scores["direction"].iloc[0],
        }
        return line.place.numbers.get((*(place[axis] for axis in PLACE), self.metric))


def _percent(value: float, original: float) -> str:
    return f"{100 * (value / original - 1):+.1f} %"
