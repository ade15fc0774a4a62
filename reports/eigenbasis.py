"""Variance along a teacher's principal components, in the manner of PCA-KD's Figure 4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from reports._style import Panel, Style, legend, log_y, nth_style, pages

ENOUGH = 0.85  # of the variance: PCA-KD's choice of a layer's channels
CAPTION = (
    "Principal components of the teacher's hints over the training inputs, strongest first. Left: "
    "mEV, the mean over images of each component's share of the variance. Right: mCEV, the same "
    f"summed up; where it crosses {ENOUGH} (dotted), PCA-KD takes the number of channels. Not of a "
    "student: n is one teacher."
)


class Eigenbasis(Report):
    """Two panels per data set, direction and teacher: mEV and mCEV, one line per hint."""

    order = 50

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where a method has reported `mev` and `mcev` of hints."""
        if "facts" not in rows.entries:
            return
        bases: dict[str, tuple[str, dict[str, Any]]] = {}  # cells of one teacher share one panel
        for _, entry in rows.entries[rows.entries["role"] == "student"].iterrows():
            for heading, hints in _bases(entry["facts"]):
                place = f"{entry['dataset']} {heading}, {entry['architecture']}"
                shares = {hint: found["mev"] for hint, found in hints.items()}
                bases.setdefault(place + json.dumps(shares), (place, hints))
        names = list(dict.fromkeys(hint for _, hints in bases.values() for hint in hints))
        looks = {hint: nth_style(number) for number, hint in enumerate(names)}
        panels = []
        for place, hints in bases.values():
            for value, draw in (("mEV", _shares), ("mCEV", _sums)):
                curves = [
                    (hints[h][value.lower()], look) for h, look in looks.items() if h in hints
                ]
                panels.append(Panel(place, (), partial(draw, curves=curves)))
        title = "Variance along the teacher's components"
        yield from pages("eigenbasis", title, CAPTION, panels, legend(looks, looks))


def _bases(facts: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (direction, hint -> facts) where facts hold an eigenbasis's variances."""
    for direction, methods in (facts if isinstance(facts, dict) else {}).items():
        for hints in methods.values():
            found = {h: f for h, f in hints.items() if isinstance(f, dict) and "mcev" in f}
            if found:
                yield direction, found


Curves = list[tuple[list[float], Style]]


def _shares(axes: Axes, curves: Curves) -> None:
    _draw(axes, curves)
    log_y(axes)
    axes.set(ylabel="mEV")


def _sums(axes: Axes, curves: Curves) -> None:
    _draw(axes, curves)
    axes.axhline(ENOUGH, color="black", lw=0.8, ls=":")
    axes.set(ylabel="mCEV", ylim=(0, 1.02))


def _draw(axes: Axes, curves: Curves) -> None:
    for values, look in curves:
        every = max(1, len(values) // 6)
        axes.plot(np.arange(len(values)) + 1, values, **look.curve(markevery=every))
    axes.set(xlabel="component")
    axes.grid(lw=0.3)
