"""Losses of both players over the steps, in the manner of WKD's Figure 5."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows
from reports._format import SIZE, size
from reports._select import seeds_note
from reports._style import Panel, Style, legend, mean_and_range, pages, styles

CAPTION = (
    "Left the generator, right the discriminator if there is one: means over seeds of the original "
    "losses as they are weighted in training, without what a method adds; shaded: the seeds' "
    "range. Seeds that did not end well or did not train are thin lines and in no mean; that of a "
    "diverged one ends in a cross. Only the control's losses come from the task alone; a method "
    "may leave out terms of the task. In a group of peers, those of the first."
)


class Losses(Report):
    """Two panels per place and size: generator and discriminator; one line per method."""

    order = 40

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where students have logged losses."""
        if rows.losses.empty:
            return
        curves = totals(rows.losses[rows.losses["role"] == "student"])
        looks = styles(rows)
        students = rows.entries[rows.entries["role"] == "student"]
        place = ["dataset", "architecture", *SIZE]
        entries = dict(list(students.groupby(place, sort=False)))
        panels = []
        for key, group in curves.groupby(place, sort=False):
            dataset, architecture, width, judge = key
            heading = f"{dataset}, {architecture}, width {size(width, judge, rows)}"
            notes = [seeds_note(entries[key], heading)]
            status = dict(zip(entries[key]["key"], entries[key]["status"], strict=True))
            for player in ("generator", "discriminator"):
                mine = group[group["player"] == player]
                if mine.empty:  # nobody discriminates
                    continue
                draw = partial(_curves, curves=mine, looks=looks, status=status, player=player)
                panels.append(Panel(heading, notes, draw))
        handles = legend(looks, curves["method"].unique())
        yield from pages("losses", "Losses of both players", CAPTION, panels, handles)


def totals(losses: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run, step and player: the sum of its original terms.

    A method's own terms are named `method.term`, a discriminator's `discriminator.direction`;
    an online teacher's begin with `teacher.`, those of peers with `peer0.`, `peer1.`, ...
    """
    players = losses["term"].map({term: _player(term) for term in losses["term"].unique()})
    known = losses.assign(player=players)[players.notna()]
    by = ["dataset", "architecture", *SIZE, "method", "seed", "key", "player", "step"]
    return known.groupby(by, sort=False)["value"].sum(min_count=1).reset_index()


def _player(term: str) -> str | None:
    """Return who a term moves; None where it is no original term of the student."""
    name = re.sub(r"^peer0\.", "", term)
    if "." not in name:
        return "generator"
    return "discriminator" if name.startswith("discriminator.") else None


def _curves(
    axes: Axes, curves: pd.DataFrame, looks: dict[str, Style], status: dict[str, str], player: str
) -> None:
    for number, (method, look) in enumerate(looks.items()):
        mine = curves[curves["method"] == method]
        ended = mine["key"].map(status)
        lost = ended != "done"
        for (_, how), run in mine[lost].groupby(["key", ended[lost]]):
            run = run.dropna()
            axes.plot(run["step"], run["value"], color=look.colour, lw=0.6, ls=look.line)
            if how == "diverged":
                axes.plot(run["step"].tail(1), run["value"].tail(1), "x", color=look.colour, ms=6)
        if lost.all():
            continue
        seeds = mine[~lost].pivot(index="step", columns="seed", values="value")
        seeds = seeds.interpolate(method="index", limit_area="inside")  # logs may be uneven
        mean_and_range(axes, seeds, look, number)
    axes.set(xlabel="step", ylabel=f"loss of the {player}")
    axes.grid(axis="y", lw=0.3)
