"""Figures of Spectral Diffusion, from hand-made rows: the numbers that are drawn and printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figures import entries, rows, scores
from matplotlib.axes import Axes
from PIL import Image
from test_figures import FIRST, line, made, panels

from bench.contracts.report import Rows, Table
from bench.maths.wiener import wiener
from reports._style import nth_style
from reports.sd_figure_4 import SDFigure4
from reports.sd_figure_10 import difference

TONES = {
    "tones": 0.5,
    "real_share_03": 0.9, "real_share_05": 0.1, "real_01": 0.0, "real_03": 0.9, "real_05": 0.1,
    "share_03": [0.8, 0.6, 1.0], "share_05": 0.0, "purity_03": [0.5, 0.25, 0.75],
    "out_01": 0.2, "out_03": [0.9, 0.5, 0.7], "out_05": 0.1,
}  # fmt: skip


def of_tones() -> Rows:
    frame = entries(methods=("none",))  # a teacher of width 32, and two seeds of width 8
    errors = scores(frame, "tone_errors", {"tone_errors": 0.5, "error_03": [0.1, 0.3, 0.5]})
    return rows(frame, scores(frame, "tones", TONES), errors)


def test_filters_are_drawn_beside_tones_alone() -> None:
    both, share = panels("sd_figure_3", of_tones())
    drawn = line(both, FIRST)
    np.testing.assert_allclose(drawn[:, 1], wiener(drawn[:, 0], 0.01)[0])
    third = line(share, nth_style(2).colour)
    assert np.interp(1, *third.T) == pytest.approx(0.5, abs=1e-6)
    frame = entries()
    assert made("sd_figure_3", rows(frame, scores(frame, "swd", 1.0))) == []
    assert made("sd_figure_3", rows(frame)) == []


def test_amplitudes_are_means_over_seeds_beside_the_data() -> None:
    (axes,) = panels("sd_figure_4", of_tones())
    assert {(b.get_x() + 0.5, b.get_height()) for b in axes.patches} == {(1, 0), (3, 0.9), (5, 0.1)}
    teacher, student = (line(axes, nth_style(number).colour).tolist() for number in (0, 1))
    assert teacher == [[1, 0.2], [3, 0.9], [5, 0.1]]
    assert student == [[1, 0.2], [3, pytest.approx(0.6)], [5, 0.1]]


def test_the_table_has_shares_purity_and_errors_by_tone() -> None:
    (table,) = [item for item in SDFigure4().make(of_tones()) if isinstance(item, Table)]
    assert list(table.header[3:]) == ["3", "5"]
    (block,) = table.blocks
    assert [list(row[1:]) for row in block] == [
        ["the data", "share of signals", "0.90", "0.10"],
        ["teacher, width 32", "share of signals", "0.80", "0.00"],
        ["", "purity", "0.50", "—"],
        ["", "error", "0.10", "—"],
        ["width 8", "share of signals", "0.80 ± 0.28", "0.00 ± 0.00"],
        ["", "purity", "0.50 ± 0.35", "—"],
        ["", "error", "0.40 ± 0.14", "—"],
    ]
    frame = entries()
    assert list(SDFigure4().make(rows(frame, scores(frame, "tone_errors", 0.1)))) == []


def gates(frame: pd.DataFrame) -> pd.DataFrame:
    """Gates of every student: LL rises from 0.2 and 0.4 (seeds) by 0.1, spread 0.05."""
    values = {
        f"down1_{band}_{time:04}{end}": [None, *each]
        for band in ("ll", "lh", "hl", "hh")
        for time, more in ((0, 0.1), (999, 0.0))
        for end, each in (("", [0.2 + more, 0.4 + more] * 2), ("_spread", [0.05] * 4))
    }
    return scores(frame, "gates", values)


def test_gates_are_means_over_seeds_from_noise_to_image() -> None:
    frame = entries()
    axes, other = panels("sd_figure_9", rows(frame, gates(frame)))
    assert [a.get_title() for a in (axes, other)] == ["none: down 1", "wkd: down 1"]
    np.testing.assert_allclose(line(axes, FIRST), [[0, 0.4], [999, 0.3]])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    low, high = axes.collections[0].get_datalim(axes.transData).intervaly
    assert (low, high) == pytest.approx((0.25, 0.45))
    hollow = scores(frame, "gates", None)  # networks without gates
    assert made("sd_figure_9", rows(frame, hollow)) == []
    assert made("sd_figure_10", rows(frame, hollow)) == []


def sampled(folder: Path, *images: np.ndarray) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        pixels = np.rint(255 * image).astype(np.uint8)[..., None].repeat(3, 2)
        Image.fromarray(pixels).save(folder / f"sample-{number}-output.png")
    return folder


X = np.arange(16) / 16
STRIPES = np.broadcast_to(np.cos(2 * np.pi * 4 * X), (16, 16))
WAVE = np.broadcast_to(np.cos(2 * np.pi * 2 * X)[:, None], (16, 16))


def test_twice_the_amplitude_at_one_frequency_is_six_decibels_there(tmp_path: Path) -> None:
    control = sampled(tmp_path / "control", 0.5 + 0.2 * WAVE + 0.1 * STRIPES)
    taught = sampled(tmp_path / "taught", 0.5 + 0.2 * WAVE + 0.2 * STRIPES, WAVE.clip(0))
    found = difference(control, taught)
    assert found
    count, decibels = found
    assert count == 1  # the second has no pair
    assert decibels[8, [4, 12]] == pytest.approx([6.02, 6.02], abs=0.1)
    assert decibels[[6, 10], 8] == pytest.approx([0, 0], abs=0.1)
    assert decibels[8, 8] == pytest.approx(0, abs=0.02)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert difference(control, empty) is None


def test_a_method_is_drawn_against_the_control_of_its_seed(tmp_path: Path) -> None:
    frame = entries()
    names = ["", "none0", "none1", "wkd0", "wkd1"]
    for name in names[1:4]:
        sampled(tmp_path / name, 0.5 + 0.3 * WAVE)
    frame["samples"] = [str(tmp_path / name) for name in names]
    found = panels("sd_figure_10", rows(frame, gates(frame)))
    titles = [axes.get_title().replace("\n", " ") for axes in found]
    assert titles == ["edges, unet, width 8: wkd against none: 1 samples, seed 0"]


def throughput_axes() -> Axes:
    frame = entries(widths=(8, 16), seeds=1, methods=("none",))
    better = scores(frame, "swd", [1.0, 5.0, 3.0])  # teacher, width 8, width 16
    speed = scores(frame, "throughput", [10.0, 100.0, 5.0])
    (axes,) = panels("quality_cost", rows(frame, better, speed))
    return axes


def test_of_throughput_more_is_better() -> None:
    axes = throughput_axes()
    assert axes.get_xlabel() == "throughput [images/s]"
    front = sorted(float(x.get_xdata()[0]) for x in axes.lines if x.get_gid() == "front")
    assert front == [10.0, 100.0]  # the third is slower and worse
