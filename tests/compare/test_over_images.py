"""Two methods image by image: errors of differences, and the images where they differ most."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_compare import call, seeded, told
from tiny import tiny_plan, train_together

from bench.evaluate import sampled
from bench.evaluate.feed import evaluate
from bench.evaluate.sampled import Sampled
from bench.maths.bootstrap import draw
from bench.metrics.fid import FID
from bench.plan.matrix import Plan
from bench.plan.scores import image_scores, record
from bench.report.publish import collect
from bench.store.layout import Store
from reports.sampling_error import SamplingError

IMAGES = 120


def scored_by_fid(folder: Path, shift: float) -> tuple[Plan, Store]:
    """Return two methods' scores by FID on 120 images whose features are simulated.

    Both miss by noise of one strength, wkd also by a shift in one feature.
    """
    plan, store = seeded(folder, metrics=["psnr"], methods={"none": {}, "wkd": {}}, seeds=[0, 1])
    fid = next(iter(tiny_plan(folder, metrics=["fid"]).metrics))
    plan = replace(plan, metrics=(fid,))
    random = np.random.default_rng(0)
    real = random.standard_normal((IMAGES, 30))
    draws, metric = draw(IMAGES, IMAGES, paired=True), FID({})
    for entry in plan.students:
        assert entry.cell
        own = np.random.default_rng([1, entry.seed, entry.method == "wkd"])
        made = real + 0.3 * own.standard_normal(real.shape) + 0.5
        made[:, 0] += shift * (entry.method == "wkd")
        a, b = ({"pool": torch.from_numpy(x)} for x in (made, real))
        sample = Sampled({}, metric.resampled(a, b, draws))
        (wanted,) = image_scores(entry.cell, plan.metrics)
        arrays: dict[str, Any] = {}
        errors = sampled.keep(arrays, wanted, sample)
        value = metric.distance(a, b)
        score = record(fid, wanted.protocol, value, "", 1.0, errors)
        store.write(entry.cell.key, "scores.json", {wanted.id: score})
        arrays["names/AtoB"] = np.array([f"{i}.png" for i in range(IMAGES)])
        sampled.write_arrays(store.images(entry.cell.key), arrays)
    return plan, store


def lines_of(plan: Plan, store: Store) -> tuple[list[Any], str]:
    from bench.compare.methods import compare_methods
    from bench.compare.over_images import Kept
    from bench.compare.tables import quality_table

    lines, _ = compare_methods(collect(plan, store), "wkd", ["none"], kept=Kept(plan, store))
    table = quality_table(lines, "wkd", ["none"], {})
    return lines, "\n".join(table.notes)


def test_two_fids_of_120_images_that_differ_by_less_than_their_error_are_not_told_apart(
    tmp_path: Path,
) -> None:
    (line,), notes = lines_of(*scored_by_fid(tmp_path, shift=0.0))
    assert 0 < abs(line.found.mean) < line.image_error
    assert f"not told apart by these {IMAGES} images" in notes
    assert line.over_images is not None
    difference = line.over_images.new - line.over_images.base
    assert line.image_error == pytest.approx(difference.std(ddof=1))


def test_two_fids_that_differ_by_more_are(tmp_path: Path) -> None:
    (line,), notes = lines_of(*scored_by_fid(tmp_path, shift=1.0))
    assert abs(line.found.mean) > 3 * line.image_error
    assert notes == ""


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Plan, Store]:
    changes: dict[str, Any] = {"methods": {"none": {}, "at": {}}, "seeds": [0, 1]}
    plan = tiny_plan(tmp_path, metrics=["psnr", "swd"], **changes)
    store = Store(tmp_path / "runs")
    teachers = [c for c in plan.cells.values() if c.key in {x.teacher for x in plan.cells.values()}]
    train_together(teachers, plan, store)
    students = [e.cell for e in plan.students if e.cell]
    for cell in students:
        train_together([cell], plan, store)
        evaluate(cell, store, plan.metrics, torch.device("cpu"))
    return plan, store


def test_images_are_listed_and_drawn(trained: tuple[Plan, Store], tmp_path: Path) -> None:
    """From end to end: the error of a paired difference, the list, and a sheet."""
    from bench.store.arrays import read_arrays

    plan, store = trained
    folder = tmp_path / "sheets"
    code, output = call(plan, store, "at", "--to", "none", "--images", str(folder))
    assert code == 0, output
    assert "± images" in output
    found = told(plan, store, "at", "--to", "none")
    psnr, swd = found["quality"]
    assert (psnr["images"], "furthest" in swd) == (75, False)
    own: dict[str, list[Any]] = {"none": [], "at": []}
    for entry in plan.students:
        assert entry.cell
        kept = read_arrays(store.images(entry.cell.key))
        own[entry.method] += [x for n, x in kept.items() if n.startswith("each/")]
    gains = np.mean(own["at"], axis=0) - np.mean(own["none"], axis=0)
    assert psnr["image_error"] == pytest.approx(gains.std(ddof=1) / 75**0.5)
    assert psnr["mean"] == pytest.approx(gains.mean())
    wanted = [f"test A {i}" for i in np.argsort(-np.abs(gains), kind="stable")[:5]]
    assert [x["image"] for x in psnr["furthest"]] == wanted
    assert all(name in output for name in wanted)
    (sheet,) = folder.iterdir()
    assert sheet.name == "photo_edges-AtoB-unet-width-2-D-2--psnr.png"
    with Image.open(sheet) as image:
        assert image.width > 500
        assert len(set(image.convert("L").tobytes())) > 50


def test_sheets_against_several_stay_in_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of methods are free text: one may be a way out, or hold a comma."""
    from bench.cli import compare

    names = ["../../evil", "none, plain"]
    own = {name: {"method": "hinton", "weight": 2.0 + i} for i, name in enumerate(names)}
    suite = seeded(tmp_path, methods={"wkd": {}, "none": {}, ".": {"method": "hinton"}, **own})
    drawn: list[Path] = []
    monkeypatch.setattr(compare, "draw", lambda *given: drawn.append(given[-1]) or [])
    folder = tmp_path / "sheets"
    ask = ["wkd", "--to", names[0], "--to", names[1], "--images", str(folder)]
    code, output = call(*suite, *ask)
    assert code == 0, output
    assert drawn == [folder / "..-..-evil", folder / "none-plain"]
    code, output = call(*suite, "wkd", "--to", "none,.", "--images", str(folder))
    assert code == 2
    assert "'.' gives no folder of its own" in output


def test_what_is_kept_no_more_or_damaged_is_said(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    cell = next(e.cell for e in plan.students if e.cell and e.method == "at")
    path = store.images(cell.key)
    path.write_bytes(path.read_bytes()[:-40])
    code, output = call(plan, store, "at", "--to", "none")
    assert (code, len(output.strip().splitlines())) == (2, 1)
    assert f"{path}: cannot be read" in output
    path.unlink()
    psnr, _ = told(plan, store, "at", "--to", "none")["quality"]
    assert (psnr["image_error"], psnr["images"]) == (None, 0)


def test_scores_from_before_have_no_error_and_no_table(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    (line,) = told(plan, store, "wkd", "--to", "none")["quality"]
    assert line["image_error"] is None
    assert list(SamplingError().make(collect(plan, store))) == []


def test_both_spreads_stand_in_one_table(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    (table,) = SamplingError().make(collect(plan, store))
    psnr, _ = [block for block in table.blocks if block[0][3].startswith("none")]
    errors = [
        s["errors"]["psnr"]
        for e in plan.students
        if e.cell and e.method == "none"
        for s in json.loads((store.folder(e.cell.key) / "scores.json").read_text()).values()
        if s["metric"] == "psnr"
    ]
    assert psnr[0][4] == "2"
    assert psnr[0][7] == f"{np.sqrt(np.square(errors).mean()):.2f}"
