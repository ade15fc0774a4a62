"""Figures and tables of style transfer, from hand-made rows: the numbers that are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from figures import entries, rows, scores
from matplotlib.axes import Axes
from test_figures import GREY, line, made, panels

from bench.contracts.kinds import REPORT
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


def lost(found: Rows, method: str, seeds: tuple[int, ...]) -> Rows:
    """Return the same rows with seeds of a method that did not train."""
    frame = found.entries
    keys = frame.loc[(frame["method"] == method) & frame["seed"].isin(seeds), "key"]
    entries = frame.assign(status=frame["status"].mask(frame["key"].isin(keys), "not trained"))
    is_lost = found.scores["key"].isin(keys)
    untrained = found.scores[is_lost].assign(status="not trained")
    return replace(found, entries=entries, scores=found.scores[~is_lost], untrained=untrained)


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


def test_what_did_not_train_is_hollow_and_in_no_mean_of_what_did() -> None:
    (axes,) = panels("pca_kd_figure_6", lost(given(), "wkd", (1,)))
    blue = [x for x in axes.lines if x.get_color() == nth_style(0).colour]
    points = {x.get_markerfacecolor(): np.asarray(x.get_xydata()).tolist() for x in blue}
    assert points == {nth_style(0).colour: [[8.0, 2.0]], "white": [[10.0, 4.0]]}
    (axes,) = panels("pca_kd_figure_6", lost(given(), "wkd", (0, 1)))
    (blue,) = [x for x in axes.lines if x.get_color() == nth_style(0).colour]
    assert np.asarray(blue.get_xydata()).tolist() == [[9.0, 3.0]]


def test_bars_are_means_and_a_metric_without_values_is_a_note() -> None:
    found = given()
    likeness = [0.9, 0.5, 0.7, 0.4, 0.5]
    similar = scores(found.entries, "ssim", likeness)
    nobody = scores(found.entries, "nima", [None] * 5, reason="its weights are missing")
    every = rows(found.entries, found.scores, similar, nobody)
    (figure,) = made("pca_kd_figure_6", lost(every, "wkd", (1,)))
    _, axes = figure.drawing.axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.9, 0.6, 0.4, 0.5])
    assert [bar.get_facecolor()[:3] == (1, 1, 1) for bar in axes.patches] == [0, 0, 0, 1]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["teacher", "none", "wkd", "wkd"]
    assert axes.get_ylim()[0] == 0
    notes = " ".join(figure.notes)
    assert "its weights are missing" in notes
    assert "FSIM (edges, unet): left out, as the suite does not ask for it." in notes
    assert "wkd: seed 1 not trained" in notes


def test_why_a_metric_has_no_panel_is_also_told_of_who_did_not_train() -> None:
    found = given()
    nobody = scores(found.entries, "nima", [None] * 5, reason="its weights are missing")
    nobody = nobody[nobody["method"] == "wkd"]
    every = lost(rows(found.entries, found.scores, nobody), "wkd", (0, 1))
    assert "nima" not in set(every.scores["metric"])
    (figure,) = made("pca_kd_figure_6", every)
    assert "its weights are missing" in " ".join(figure.notes)


SHARES = {"channels": 5, "of": 8, "own": 0.9684, "shared": 0.9441, "local": 0.83, "random": 0.8}
KNOWN = {"linear_encoders": {"fitted": 64, "held_out": 32, "levels": {"relu1": SHARES}}}


def test_bases_in_closed_form_stand_once_per_source() -> None:
    frame = entries()
    other = {
        "linear_encoders": {**KNOWN["linear_encoders"], "levels": {"relu1": {**SHARES, "own": 0.5}}}
    }
    frame["facts"] = [
        {},
        {"d": {"p": KNOWN}},
        {"d": {"p": KNOWN}},
        {"d": {"p": other, "q": {}}},
        None,
    ]
    (table,) = REPORT.load("pca_kd_bases", "test")().make(rows(frame))
    assert [list(line[1:]) for block in table.blocks for line in block] == [
        ["relu1", "5 of 8", "0.968", "0.944", "0.830", "0.800"],
        ["relu1", "5 of 8", "0.500", "0.944", "0.830", "0.800"],
    ]
    assert table.notes == ["Crops: 64 to fit, 32 held out."]
    assert list(REPORT.load("pca_kd_bases", "test")().make(rows(entries()))) == []


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
