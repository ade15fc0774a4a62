"""Which tones a small and a large network make: SD's Figure 4, and the table behind it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from bench.contracts.report import Figure, Report, Rows, Table
from reports._format import marks, merged, places, protocols, spread
from reports._select import finite, seeds_note
from reports._style import Panel, Style, legend, mean_and_range, nth_style, pages

REAL = "0.75"  # the bars of the data
FIGURE = (
    "Mean amplitude by frequency, in cycles per signal, of the data (bars) and of what networks "
    "make from noise: means over seeds, shaded their range. A pure tone has amplitude 1 at its own "
    "frequency, so that a bar is as high as its tone is frequent; what lies between the bars is "
    "no tone of the data."
)
TABLE = (
    "By tone: the share of signals that are strongest there (of the data: what it should be); how "
    "pure they are (share of a signal's power at its tone; — where there is no such signal). Mean "
    "± standard deviation (n - 1) over seeds. All networks start from the same noise, so that "
    "shares of few signals move together: the spread over seeds does not hold their chance. "
    "Error: mean squared error of the noise that one step finds in the tone, at the time in the "
    "notes; 1 is what finding none would get."
)
QUANTITIES = {"share": "share of signals", "purity": "purity", "error": "error"}
METRICS = ("tones", "tone_errors")


class SDFigure4(Report):
    """One panel per data set, and one block of the table."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Table | Figure]:
        """Yield both where the metric `tones` was taken; errors where `tone_errors` was too."""
        if rows.scores.empty:
            return
        taken = finite(rows.scores[rows.scores["metric"].isin(METRICS)])
        if not (taken["metric"] == "tones").any():
            return
        names = list(dict.fromkeys(map(_network, taken.to_dict("records"))))
        looks = {name: nth_style(number) for number, name in enumerate(names)}
        tones = sorted(int(name) for name in _below(taken, "real_share")["place"].unique())
        panels, blocks, notes = [], [], []
        for heading, entries, scores in places(rows):
            mine = taken[taken.index.isin(scores.index)]
            if mine.empty:
                continue
            said = [seeds_note(entries, heading), *protocols(mine, heading)]
            panels.append(Panel(heading, said, partial(_amplitudes, mine=mine, looks=looks)))
            blocks.append(list(_block(heading, entries, mine, tones)))
            notes += said
        handles = legend(looks, looks, Patch(color=REAL, label="the data"))
        title = "Tones of the data, and of networks"
        yield from pages("sd_figure_4", title, FIGURE, panels, handles)
        header = ["Data", "Network", "", *map(str, tones)]
        yield Table("sd_figure_4", title, TABLE, header, blocks, merged(notes))


def _network(row: Mapping[Hashable, Any]) -> str:
    """Return what a line is of: a width, and the method where it is not the network alone."""
    taught = "" if row["is_control"] else f"{row['method']}, "
    return f"{taught}width {row['width']}"


def _below(scores: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the scores called `of` and a number, with the number as `place`."""
    found = scores["name"].str.extract(rf"^{of}_(\d+)$")[0]
    return scores.assign(place=found)[found.notna()].astype({"place": int})


def _groups(scores: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (name, scores) of every network, in the suite's order."""
    named = scores.assign(network=[_network(row) for row in scores.to_dict("records")])
    for name, group in named.drop_duplicates(["key", "name"]).groupby("network", sort=False):
        yield str(name), group


def _amplitudes(axes: Axes, mine: pd.DataFrame, looks: dict[str, Style]) -> None:
    real = _below(mine, "real").groupby("place")["value"].first()
    axes.bar(real.index, real, width=1.0, color=REAL)
    for number, (name, group) in enumerate(_groups(mine)):
        out = _below(group, "out").pivot_table(index="place", columns="key", values="value")
        mean_and_range(axes, out, looks[name], number)
    axes.set(xlabel="frequency [cycles per signal]", ylabel="mean amplitude")
    axes.grid(lw=0.3)


def _block(
    heading: str, entries: pd.DataFrame, mine: pd.DataFrame, tones: list[int]
) -> Iterator[list[str]]:
    real = _below(mine, "real_share").groupby("place")["value"].first().reindex(tones)
    yield [heading, "the data", QUANTITIES["share"], *(_plain(share) for share in real)]
    for name, group in _groups(mine):
        trained = entries[entries["key"].isin(group["key"])].drop_duplicates("key")
        first = f"{name}{marks(trained)}"
        for quantity, said in QUANTITIES.items():
            found = _below(group, quantity)
            if found.empty:
                continue
            cells = [
                spread(found.loc[found["place"] == tone, "value"], len(trained), 2)
                for tone in tones
            ]
            yield ["", first, said, *cells]
            first = ""


def _plain(value: float) -> str:
    return "—" if pd.isna(value) else f"{value:.2f}"
