"""Figures from hand-made rows: the numbers that are drawn, and what may not stop them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures import entries, losses, rows, scores
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from bench.contracts.kinds import REPORT
from bench.contracts.report import Figure, Rows
from bench.report.publish import DRAWING
from reports._select import foremost, summary
from reports._style import nth_style, styles
from reports.grids import detailed
from reports.losses import totals
from reports.quality_cost import pareto
from reports.spectral_sign import SpectralSign

FIGURES = (
    "band_error", "discriminator_size", "eigenbasis", "grids", "losses", "pca_kd_figure_6", "quality_cost",
    "sd_figure_10", "sd_figure_3", "sd_figure_4", "sd_figure_9", "seed_spread", "spectra", "training_curve",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _drawing() -> Iterator[None]:
    mpl.use("Agg")
    with mpl.rc_context(DRAWING):
        yield
    plt.close("all")


def made(name: str, given: Rows) -> list[Figure]:
    assert name in REPORT.names()
    return [item for item in REPORT.load(name, "test")().make(given) if isinstance(item, Figure)]


def panels(name: str, given: Rows) -> list[Axes]:
    return [axes for figure in made(name, given) for axes in figure.drawing.axes]


def line(axes: Axes, colour: str, gid: str | None = None) -> np.ndarray[Any, Any]:
    """Return the points [N, 2] of the first line in this colour, or with this name."""
    found = [x for x in axes.lines if to_hex(x.get_color()) == to_hex(colour)]
    found = [x for x in found if gid is None or x.get_gid() == gid]
    return np.asarray(found[0].get_xydata(), dtype=float)


GREY, FIRST = "0.55", nth_style(0).colour


def test_a_control_is_grey_and_the_others_keep_the_suites_order_and_differ_in_print() -> None:
    looks = styles(rows(entries(("z", "none", "a"))))
    assert list(looks) == ["z", "none", "a"]
    assert looks["none"].colour == GREY
    assert (looks["z"], looks["a"]) == (nth_style(0), nth_style(1))
    many = [nth_style(number) for number in range(30)]
    assert len({(s.marker, s.line) for s in many}) >= 10  # without any colour
    assert len(set(many)) == 30


def test_the_foremost_metric_is_fid_then_one_of_sets_and_never_a_cost() -> None:
    frame = entries()
    psnr, swd, macs = (scores(frame, m, 1.0) for m in ("psnr", "swd", "macs"))
    assert set(foremost(rows(frame, macs, psnr, swd).scores)["metric"]) == {"swd"}
    fid = swd.assign(metric="fid")
    assert set(foremost(rows(frame, swd, fid).scores)["metric"]) == {"fid"}
    assert set(foremost(rows(frame, psnr, swd.assign(value=None)).scores)["metric"]) == {"psnr"}
    assert foremost(rows(frame, macs).scores).empty


def test_an_interval_is_students_and_two_seeds_have_none() -> None:
    """Mean 2, deviation 1, n 3: half of it is t(0.975, 2) / sqrt(3) = 4.302653 / 1.732051."""
    frame = pd.DataFrame({"m": list("aaabbc"), "value": [1.0, 2, 3, 5, 7, 4]})
    found = summary(frame, ["m"]).set_index("m")
    assert found.loc["a", "high"] - 2 == pytest.approx(2.484138, abs=1e-6)
    assert found.loc["a", "low"] == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found.loc["b"].tolist() == [6, 6, 6]
    assert found.loc["c"].tolist() == [4, 4, 4]


def test_band_errors_are_means_with_the_teacher_beside_them() -> None:
    frame = entries(seeds=2)  # teacher, none, none, wkd, wkd
    values = {"LL3": [0.1, 0.2, 0.4, 0.5, 0.5], "HH1": [1, 2, 2, 3, 5]}
    given = rows(frame, scores(frame, "band_error", values))
    by_method, by_size = panels("band_error", given)
    assert line(by_method, GREY)[:, 1] == pytest.approx([0.3, 2])
    assert line(by_method, FIRST)[:, 1] == pytest.approx([0.5, 4])
    assert line(by_method, "black")[:, 1] == pytest.approx([0.1, 1])
    assert [t.get_text() for t in by_method.get_xticklabels()] == ["LL3", "HH1"]
    assert len(by_size.lines) == 2  # the control's width and the teacher: no method's
    assert by_size.lines[0].get_ydata() == pytest.approx([0.3, 2])


def test_losses_are_the_sums_of_the_original_terms_of_each_player() -> None:
    frame = entries(seeds=2, methods=("none",))
    terms = {
        "gan": [1.0, 2.0], "l1": [10.0, 20.0], "wkd.high": [100.0, 100.0],
        "teacher.gan": [100.0, 100.0], "peer1.gan": [100.0, 100.0], "discriminator.AtoB": [0.5, 0.3],
        "discriminator.BtoA": [0.25, 0.25],
    }  # fmt: skip
    log = losses(frame, [10, 20], terms)
    log.loc[(log["seed"] == 1) & (log["term"] == "l1"), "value"] += 2
    given = rows(frame, losses=log)
    generator, discriminator = panels("losses", given)
    assert line(generator, GREY).tolist() == [[10, 12], [20, 23]]  # seeds: 11, 13 and 22, 24
    assert line(discriminator, GREY)[:, 1] == pytest.approx([0.75, 0.55])
    assert "loss of the generator" in generator.get_ylabel()
    alone = rows(frame, losses=log[~log["term"].str.startswith("discriminator")])
    (generator,) = panels("losses", alone)  # nobody discriminates
    assert "loss of the generator" in generator.get_ylabel()


def test_of_peers_the_first_counts() -> None:
    frame = entries(seeds=1, methods=("dml",))
    terms = {"peer0.gan": [1.0], "peer0.dml.kl": [9.0], "peer1.gan": [5.0]}
    terms |= {"peer0.discriminator.AtoB": [0.5], "peer1.discriminator.AtoB": [7.0]}
    found = totals(losses(frame.query("role == 'student'"), [1], terms)).set_index("player")[
        "value"
    ]
    assert found.to_dict() == {"generator": 1.0, "discriminator": 0.5}


def test_a_diverged_run_ends_in_a_cross_and_is_not_in_the_mean() -> None:
    frame = entries(seeds=2, methods=("none",))
    frame.loc[2, "status"] = "diverged"
    log = losses(frame, [1, 2, 3], {"gan": [1.0, 1.0, 1.0]})
    lost = log["seed"] == 1
    log.loc[lost, "value"] = [5.0, 9.0, float("nan")]
    (figure,) = made("losses", rows(frame, losses=log[log["role"] == "student"]))
    axes = figure.drawing.axes[0]
    crosses = [x for x in axes.lines if x.get_marker() == "x"]
    assert [x.get_xydata().tolist() for x in crosses] == [[[2, 9]]]
    assert [1, 1, 1] in [x.get_ydata().tolist() for x in axes.lines]
    assert "none: seed 1 diverged" in figure.notes[0]


@pytest.mark.parametrize("status", ["failed", "started"])
def test_a_run_that_did_not_end_is_thin_and_not_in_the_mean(status: str) -> None:
    frame = entries(seeds=2, methods=("none",))
    frame.loc[2, "status"] = status
    log = losses(frame, [1, 2], {"gan": [1.0, 1.0]})
    log.loc[log["seed"] == 1, "value"] = 5.0
    (axes, *_) = panels("losses", rows(frame, losses=log[log["role"] == "student"]))
    assert [x.get_ydata().tolist() for x in axes.lines] == [[5, 5], [1, 1]]
    assert not any(x.get_marker() == "x" for x in axes.lines)  # which says that it diverged


def test_quality_by_discriminator_needs_two_of_them() -> None:
    frame = entries(judges=(4, 16), seeds=1, methods=("none",))
    given = rows(frame, scores(frame, "swd", [9.0, 3, 2]))
    (axes,) = panels("discriminator_size", given)
    assert line(axes, GREY)[:, 1].tolist() == [3, 2]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["4", "16"]
    one = frame[frame["discriminator_width"] == 4]
    assert not made("discriminator_size", rows(one, scores(one, "swd", 1.0)))


def test_the_pareto_front_by_hand() -> None:
    cost = np.array([1.0, 1, 2, 3, 3, 4])
    loss = np.array([9.0, 8, 8, 5, 5, 6])
    assert pareto(cost, loss, "lower").tolist() == [False, True, False, True, True, False]
    assert pareto(cost, -loss, "higher").tolist() == [False, True, False, True, True, False]
    assert pareto(np.array([1.0]), np.array([1.0]), "higher").tolist() == [True]


def test_points_stand_at_their_cost_and_the_front_is_ringed() -> None:
    frame = entries(widths=(8, 16), seeds=2)  # teacher; none 8 8 16 16; wkd 8 8 16 16
    psnr = scores(frame, "psnr", [30.0, 10, 12, 20, 22, 13, 15, 19, 19])
    macs = scores(frame, "macs", frame["width"] ** 2 * 1e4)
    (axes,) = panels("quality_cost", rows(frame, psnr, macs))
    rings = sorted(tuple(x.get_xydata()[0]) for x in axes.lines if x.get_gid() == "front")
    assert rings == [(64e4, 14), (256e4, 21), (1024e4, 30)]
    low, high = axes.get_xlim()
    assert low < 64e4
    assert high > 1024e4  # the limits take in what is moved apart
    assert axes.get_ylim()[1] > 30


def test_a_network_that_does_not_fit_has_no_point() -> None:
    frame = entries(seeds=1)
    given = rows(frame, scores(frame, "psnr", 20.0), scores(frame, "latency", [float("inf"), 2, 2]))
    (axes,) = panels("quality_cost", given)
    assert {x for found in axes.lines for x in found.get_xdata()} == {2}


def test_training_shows_the_last_mean_and_each_seeds_best() -> None:
    frame = entries(seeds=2, methods=("none",)).query("role == 'student'")
    at = [scores(frame, "swd", v, step=s) for s, v in ((1, [5.0, 9]), (2, [4.0, 8]), (3, [6.0, 7]))]
    given = rows(frame, snapshots=pd.concat(at))
    (figure,) = made("training_curve", given)
    axes = figure.drawing.axes[0]
    assert line(axes, GREY, "last").tolist() == [[3, 6.5]]
    assert line(axes, GREY, "best").tolist() == [[2, 4], [3, 7]]
    assert line(axes, GREY)[:, 1].tolist() == [7, 6, 6.5]
    (legend,) = figure.drawing.legends
    assert "best on test: no result" in [text.get_text() for text in legend.get_texts()]


def test_a_lost_seed_is_named_at_the_axis_and_in_the_note() -> None:
    frame = entries(seeds=3)
    frame.loc[6, "status"] = "diverged"  # the last seed of wkd
    psnr = scores(frame[frame["status"] == "done"], "psnr", [20.0, 1, 2, 3, 5, 7])
    (figure,) = made("seed_spread", rows(frame, psnr))
    axes = figure.drawing.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["none", "wkd\n1 diverged"]
    assert line(axes, "black", "mean").tolist() == [[0, 2], [1, 6]]
    assert line(axes, GREY)[:, 1].tolist() == [1, 2, 3]
    ours, theirs = line(axes, GREY)[:2, 0], line(axes, FIRST)[:, 0]
    assert theirs - ours == pytest.approx([1, 1])  # a seed has one place in every method
    said = "n (edges, unet, width 8): 3 seeds per method; without wkd: seed 2 diverged."
    assert figure.notes[0] == said
    assert "test split, 40 images of 32 px" in figure.notes[1]


def test_one_seed_has_no_spread() -> None:
    frame = entries(seeds=1)
    assert not made("seed_spread", rows(frame, scores(frame, "psnr", 20.0)))


def test_spectra_are_by_frequency_and_relative_to_the_real_images() -> None:
    frame = entries(seeds=2, methods=("none",))  # teacher, none, none
    values = {"spectrum": 1.0, "out_01": [-1.0, -3, -5], "out_02": [-20.0, -30, -30]}
    values |= {"real_01": 0.0, "real_02": -20.0}
    power, ratio = panels("spectra", rows(frame, scores(frame, "spectrum", values)))
    assert line(power, GREY).tolist() == [[0.25, -4], [0.5, -30]]
    assert line(power, "black").tolist() == [[0.25, 0], [0.5, -20]]  # the real images come first
    assert line(ratio, GREY).tolist() == [[0.25, -4], [0.5, -10]]


def test_the_sign_of_a_spectral_error_is_by_halves_of_the_radii() -> None:
    """Twice the amplitude is +6.02 dB everywhere; blur is less of the high half alone."""
    frame = entries(seeds=2, methods=("none",))  # teacher, none, none
    values: dict[str, Any] = {"spectrum": 1.0}
    for radius in range(1, 5):
        values |= {f"out_{radius:02}": [6.0206, 0.0, 0.0 if radius < 3 else -3.0]}
        values |= {f"real_{radius:02}": 0.0}
    (table,) = SpectralSign().make(rows(frame, scores(frame, "spectrum", values)))
    (block,) = table.blocks
    assert [row[2:] for row in block] == [
        ["teacher", "+6.02", "+6.02", "+6.02"],
        ["none", "+0.00 ± 0.00", "-1.50 ± 2.12", "-0.75 ± 1.06"],
    ]
    assert not list(SpectralSign().make(rows(frame, scores(frame, "psnr", 20.0))))


def test_an_eigenbasis_that_cells_share_is_drawn_once() -> None:
    frame = entries(seeds=2, methods=("none", "pca_kd"))
    of_teacher = {"mev": [0.7, 0.2, 0.1], "mcev": [0.7, 0.9, 1.0]}
    narrow, wide = (  # what a student's width keeps is no part of the figure
        {"AtoB": {"pca_kd": {"mid": {**of_teacher, "kept": kept}}}} for kept in (0.7, 0.9)
    )
    frame["facts"] = [{}, {}, {}, narrow, wide]
    shares, sums = panels("eigenbasis", rows(frame))
    assert line(shares, FIRST).tolist() == [[1, 0.7], [2, 0.2], [3, 0.1]]
    assert line(sums, FIRST)[:, 1].tolist() == [0.7, 0.9, 1.0]
    frame["facts"] = [float("nan"), None, {}, {"AtoB": {"other": {"beta": 1.0}}}, {}]
    assert not made("eigenbasis", rows(frame))


def test_no_tick_is_written_as_a_formula() -> None:
    """Formulas are not parsed, so that a method may be called $x$: a tick must not be one."""
    mev = [0.9, 1e-3, 1e-6]
    frame = entries(seeds=1).assign(facts=[{"AtoB": {"p": {"mid": {"mev": mev, "mcev": mev}}}}] * 3)
    cost = scores(frame, "macs", frame["width"] ** 2 * 1e4)
    given = rows(frame, scores(frame, "psnr", 20.0), cost)
    shares, _, by_macs = panels("eigenbasis", given) + panels("quality_cost", given)
    texts = [t.get_text() for t in (*shares.get_yticklabels(), *by_macs.get_xticklabels())]
    assert {"0.0001", "1e-06", "1M"} <= set(texts)
    assert not any("$" in text for text in texts)


def test_a_page_is_written_as_it_was_laid_out() -> None:
    """Other ticks than at the layout would push labels over the edge."""
    frame = entries(seeds=2)
    (figure,) = made("seed_spread", rows(frame, scores(frame, "psnr", [28.0, 20, 21, 22, 23])))
    (axes,) = figure.drawing.axes
    ticks = axes.get_yticks().tolist()
    with mpl.rc_context({"ytick.labelsize": 30}):
        assert axes.get_yticks().tolist() == ticks
    figure.drawing.canvas.draw()
    box = figure.drawing.get_tightbbox()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.drawing.get_figwidth()
    assert box.y1 <= figure.drawing.get_figheight()


def test_the_window_is_where_the_detail_is() -> None:
    gray = np.zeros((32, 48))
    gray[18:24, 30:38] = np.indices((6, 8)).sum(axis=0) % 2 * 255  # a chequerboard
    left, top, right, bottom = detailed(gray)
    assert (right - left, bottom - top) == (12, 8)
    assert left <= 30 - 1
    assert right >= 38 + 1 - 1
    assert top <= 18
    assert bottom >= 24
    assert detailed(np.zeros((8, 8))) == (0, 0, 2, 2)
    assert detailed(np.zeros((3, 3))) == (0, 0, 1, 1)


def test_detail_is_a_sum_over_the_window_and_not_one_strong_edge() -> None:
    """Against the same sum, window by window."""
    gray = np.random.default_rng(0).random((20, 16)) * np.linspace(0, 1, 16)
    down, across = np.gradient(gray)
    detail = down**2 + across**2
    found = {(x, y): detail[y : y + 5, x : x + 4].sum() for x in range(13) for y in range(16)}
    assert detailed(gray)[:2] == max(found, key=lambda at: found[at])


def test_a_grid_has_the_first_seed_that_ended_and_survives_a_missing_output(tmp_path: Path) -> None:
    frame = entries(seeds=2, methods=("none", "teacher", "wkd"))
    frame["samples"] = [str(tmp_path / key) for key in frame["key"]]
    frame.loc[1, "status"] = "failed"  # seed 0 of the control
    for key in frame["key"]:
        (tmp_path / key).mkdir()
        for image in (0, 1):
            for role in ("input", "output", "target"):
                Image.new("RGB", (16, 16), "red").save(tmp_path / key / f"AtoB-{image}-{role}.png")
    (tmp_path / "k5" / "AtoB-1-output.png").unlink()  # of wkd
    (figure,) = made("grids", rows(frame))
    assert "none seed 1, teacher seed 0, wkd seed 0" in figure.caption
    texts = [text.get_text() for text in figure.drawing.axes[0].texts]
    assert texts == ["input", "ground truth", "teacher", "none", "teacher", "wkd"]


@pytest.mark.parametrize("damage", ["truncated", "no image", "huge", "empty"])
def test_a_damaged_sample_costs_its_own_place_and_is_said(tmp_path: Path, damage: str) -> None:
    frame = entries(seeds=1, methods=("none", "teacher", "wkd"))
    frame["samples"] = [str(tmp_path / key) for key in frame["key"]]
    for key in frame["key"]:
        (tmp_path / key).mkdir()
        for image in (0, 1, 2):
            for role in ("input", "output", "target"):
                shade = (80 * image, 0, 0)
                Image.new("RGB", (16, 16), shade).save(tmp_path / key / f"AtoB-{image}-{role}.png")
    (key,) = frame[frame["method"] == "wkd"]["key"]
    path = tmp_path / key / "AtoB-1-output.png"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "huge":
        Image.new("1", (9000, 9000)).save(path)
    else:
        path.write_text("hello" if damage == "no image" else "")
    (figure,) = made("samples", rows(frame))
    assert figure.notes == ["wkd: 1 files of samples are damaged; the image is left out"]
    assert {len(files) for _, files in figure.frames} == {2}
    names = {Path(f).name.split("-")[1] for _, files in figure.frames for f in files}
    assert names == {"0", "2"}  # rows stay rows
    assert made("grids", rows(frame))


def test_samples_of_many_methods_are_shrunk_to_one_width(tmp_path: Path) -> None:
    """As they are, or as large as 300 dots per inch have room for on the 7 inches of a page."""
    for image in (0, 1):
        for role in ("input", "output", "target"):
            Image.new("RGB", (256, 256), "red").save(tmp_path / f"AtoB-{image}-{role}.png")
    for count, width, wide in ((2, 7.0, 256), (30, 7.0, 61)):
        frame = entries(tuple(f"m{n}" for n in range(count)), seeds=1)
        (figure,) = made("samples", rows(frame.assign(samples=str(tmp_path))))
        (axes,) = figure.drawing.axes
        pixels = np.asarray(axes.images[0].get_array())
        assert figure.drawing.get_figwidth() == width
        assert (pixels[0] == (255, 0, 0)).all(axis=1).sum() == wide * (count + 3)
        assert (pixels[:, 0] == (255, 0, 0)).all(axis=1).sum() == 2 * wide
        assert len(figure.frames) == count + 3


def test_six_panels_make_a_page_and_a_page_fits_the_paper() -> None:
    frame = entries(datasets=tuple("abcdefg"), seeds=2)
    first, second = made("seed_spread", rows(frame, scores(frame, "psnr", 20.0)))
    assert (first.name, second.name) == ("seed_spread", "seed_spread-2")
    assert (len(first.drawing.axes), len(second.drawing.axes)) == (6, 1)
    assert [figure.drawing.get_figwidth() for figure in (first, second)] == [7.0, 3.3]
    assert not any("(g, unet" in note for note in first.notes)


@pytest.mark.parametrize("name", FIGURES)
def test_no_rows_no_figure(name: str) -> None:
    frame = entries()
    missing = scores(frame, "psnr", None, reason="needs weights")
    assert not made(name, rows(frame.assign(status="missing")))
    assert not made(name, rows(frame, missing))


@pytest.mark.parametrize("name", FIGURES)
def test_a_hostile_name_is_drawn_as_text(name: str, tmp_path: Path) -> None:
    """Also one that matplotlib would take for a private label, or for the word of a style."""
    hostile = ("none", "_x", "$\\frac{", "teacher", "a\nb " * 30)
    frame = entries(hostile, judges=(4, 8) if name == "discriminator_size" else (4,))
    facts = {"AtoB": {"p": {"$\\frac{": {"mev": [1.0], "mcev": [1.0]}}}}
    frame = frame.assign(facts=[facts] * len(frame), samples=str(tmp_path))
    for role in ("input", "output"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"AtoB-0-{role}.png")
    spectrum = {"spectrum": 1.0, "out_01": 1.0, "real_01": 1.0}
    parts = [scores(frame, m, 1.0) for m in ("swd", "macs", "latency")]
    parts += [scores(frame, "spectrum", spectrum), scores(frame, "band_error", {"LL3": 0.5})]
    for metric in ("content_loss", "style_loss"):
        named = {metric: 1.0, "unchanged": 2.0, "recoloured": 3.0}
        parts.append(scores(frame, metric, named))
    tones = {"tones": 0.0, "real_share_03": 1.0, "real_03": 1.0, "out_03": 1.0, "share_03": 1.0}
    gates = {"down1_ll_0000": 0.5, "down1_ll_0000_spread": 0.1}
    parts += [scores(frame, "tones", tones), scores(frame, "gates", gates)]
    snapshots = scores(frame[frame["role"] == "student"], "swd", 1.0, step=3)
    log = losses(frame, [1], {"gan": [1.0], "discriminator.AtoB": [1.0]})
    figures = made(name, rows(frame, *parts, snapshots=snapshots, losses=log))
    assert figures
    for figure in figures:
        figure.drawing.savefig(tmp_path / "x.pdf")
