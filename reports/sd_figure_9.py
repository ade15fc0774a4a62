"""What wavelet gates let pass over the times of diffusion: SD's Figure 9."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from reports._format import protocols
from reports._select import finite, places_by_size, seeds_note
from reports._style import Panel, Style, legend, nth_style, pages

BANDS = {"ll": "LL", "lh": "LH", "hl": "HL", "hh": "HH"}
CAPTION = (
    "Wavelet gates of held-out images with noise by time, from noise (left) to image (right), one "
    "line per band: mean over images and seeds; shaded, one standard deviation over images to "
    "either side, mean over seeds. A gate at 1 lets its band pass, at 0 none of it. Down K halves "
    "the grid of level K, up K doubles that of level K + 1."
)


class SDFigure9(Report):
    """One panel per method and resampler of a place."""

    order = 23

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where the metric `gates` was taken of a network that has some."""
        if rows.scores.empty:
            return
        scores = finite(rows.scores[rows.scores["metric"] == "gates"])
        looks = {said: nth_style(number) for number, said in enumerate(BANDS.values())}
        panels = []
        for place in places_by_size(rows, scores):
            for method, group in place.scores.groupby("method", sort=False):
                mine = _parted(group)
                entries = place.entries[place.entries["method"] == method]
                where = f"{place.heading}, {method}"
                notes = [seeds_note(entries, where), *protocols(group, where)]
                for resampler, gates in mine.groupby("resampler", sort=False):
                    draw = partial(_gates, gates=gates, looks=looks)
                    panels.append(Panel(f"{method}: {_said(str(resampler))}", notes, draw))
        title = "Wavelet gates by time"
        yield from pages("sd_figure_9", title, CAPTION, panels, legend(looks, looks))


def _parted(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per resampler, band, time and seed: `mean` and `spread` over images."""
    parts = scores["name"].str.extract(r"^(\w+?)_(ll|lh|hl|hh)_(\d+)(_spread)?$")
    parts.columns = pd.Index(["resampler", "band", "time", "of"])
    found = scores[["seed", "value"]].join(parts).assign(of=parts["of"].notna())
    found = found.astype({"time": int}).set_index(["resampler", "band", "time", "seed", "of"])
    both = found["value"].unstack("of").rename(columns={False: "mean", True: "spread"})
    return both.reset_index()


def _said(resampler: str) -> str:
    """`down1` as "down 1"."""
    return f"{resampler.rstrip('0123456789')} {resampler.lstrip('downup')}"


def _gates(axes: Axes, gates: pd.DataFrame, looks: dict[str, Style]) -> None:
    for number, (band, said) in enumerate(BANDS.items()):
        mine = gates[gates["band"] == band].groupby("time")[["mean", "spread"]].mean()
        every = max(1, len(mine) // 4)
        look = looks[said]
        axes.plot(mine.index, mine["mean"], **look.curve(markevery=(number % every, every)))
        low, high = mine["mean"] - mine["spread"], mine["mean"] + mine["spread"]
        axes.fill_between(mine.index, low, high, color=look.colour, alpha=0.2, lw=0)
    axes.set(xlabel="time", ylabel="gate", ylim=(0, 1))
    axes.invert_xaxis()
    axes.grid(lw=0.3)
