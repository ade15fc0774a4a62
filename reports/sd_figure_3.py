"""Which frequencies the best linear denoiser lets pass, as noise goes: SD's Figure 3."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from bench.maths.wiener import half_passed, wiener
from reports._style import Panel, Style, legend, log_y, nth_style, pages

BARS = (0.01, 0.1, 0.5, 0.9, 0.99)
FREQUENCIES = np.geomspace(0.01, 100, 241)
CAPTION = (
    "Wiener filters of images whose power falls as 1 / f², in closed form and of no cell. Left: H, "
    "by which x_t gives the expected image; at low frequencies it undoes the fading and is "
    "1 / √ᾱ. Right: √ᾱ H, the share of the image itself that is found; half at f = √(ᾱ / (1 - ᾱ)), "
    "dotted. As ᾱ grows towards the end of sampling, first low and then high frequencies pass: a "
    "denoiser makes details last. Exponent and constant of the power are our reading."
)


class SDFigure3(Report):
    """Two panels: the filter, and what it finds."""

    order = 12

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure beside tones, the paper's other example that needs no image."""
        if rows.scores.empty or not (rows.scores["metric"] == "tones").any():
            return
        looks = {f"ᾱ {bar:g}": nth_style(number) for number, bar in enumerate(BARS)}
        panels = [
            Panel("H", (), partial(_filters, looks=looks, finds=False)),
            Panel("√ᾱ H", (), partial(_filters, looks=looks, finds=True)),
        ]
        title = "What the best linear denoiser lets pass"
        yield from pages("sd_figure_3", title, CAPTION, panels, legend(looks, looks))


def _filters(axes: Axes, looks: dict[str, Style], *, finds: bool) -> None:
    for bar, look in zip(BARS, looks.values(), strict=True):
        image, _ = wiener(FREQUENCIES, bar)
        values = np.sqrt(bar) * image if finds else image
        axes.plot(FREQUENCIES, values, **look.curve(markevery=40))
        if finds:
            axes.axvline(half_passed(bar), color=look.colour, lw=0.6, ls=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))  # formulas are not parsed
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    if not finds:
        log_y(axes)
        axes.set_ylim(1e-3, 20)
    axes.set(xlabel="frequency; at 1 an image has the noise's power")
    axes.grid(lw=0.3)
