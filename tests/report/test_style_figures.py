"""Content against style loss, from hand-made rows: the numbers that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from figures import entries, rows, scores
from matplotlib.axes import Axes
from test_figures import GREY, line, panels

from bench.contracts.report import Rows
from reports._style import nth_style

CONTENT = [0.5, 3.0, 5.0, 8.0, 10.0]  # the teacher, `none` at two seeds, `wkd` at two
STYLE = [9.0, 6.0, 8.0, 2.0, 4.0]


def given(**changes: Any) -> Rows:
    frame = entries()
    content = {"content_loss": CONTENT, "mean": 0.1, "recoloured": 7.0}
    style = {"style_loss": STYLE, "unchanged": 20.0, "recoloured": 12.0, "share": 0.5}
    found = [scores(frame, "content_loss", content), scores(frame, "style_loss", style)]
    return rows(frame, *(f.assign(**changes) for f in found))


def only() -> Axes:
    (axes,) = panels("pca_kd_figure_6", given())
    return axes


def test_a_point_is_the_mean_over_seeds_and_bars_are_their_range() -> None:
    axes = only()
    assert line(axes, GREY).tolist() == [[4.0, 7.0]]
    assert line(axes, nth_style(0).colour).tolist() == [[9.0, 3.0]]
    bars = {tuple(map(tuple, np.round(c.get_segments()[0], 6).tolist())) for c in axes.collections}
    assert ((3.0, 7.0), (5.0, 7.0)) in bars
    assert ((9.0, 2.0), (9.0, 4.0)) in bars


def test_the_content_and_the_recoloured_content_stand_beside_them() -> None:
    marks = {x.get_marker(): np.asarray(x.get_xydata()).tolist() for x in only().lines}
    assert marks["x"] == [[0.0, 20.0]]
    assert marks["+"] == [[7.0, 12.0]]
    assert marks["p"] == [[0.5, 9.0]]  # the teacher


def test_with_one_of_the_losses_there_is_no_figure() -> None:
    whole = given()
    for metric in ("content_loss", "style_loss"):
        part = whole.scores[whole.scores["metric"] == metric]
        assert panels("pca_kd_figure_6", rows(whole.entries, part)) == []
    assert panels("pca_kd_figure_6", given(value=float("nan"))) == []


def test_each_place_has_its_panel() -> None:
    frame = entries(datasets=("one", "two"))
    found = [
        scores(frame, "content_loss", {"content_loss": 1.0, "recoloured": 2.0}),
        scores(frame, "style_loss", {"style_loss": 3.0, "unchanged": 5.0, "recoloured": 4.0}),
    ]
    titles = [axes.get_title() for axes in panels("pca_kd_figure_6", rows(frame, *found))]
    assert len(titles) == 2
    assert ["one" in titles[0], "two" in titles[1]] == [True, True]
