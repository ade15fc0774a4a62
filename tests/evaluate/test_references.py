"""Real images beside samples: which they are, what they score, and where tables show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_diffusion_task import plan_of
from tiny import student_cells, tiny_plan, train_together

from bench.contracts.kinds import REPORT
from bench.contracts.report import Table
from bench.data.photo_crops import PhotoCrops
from bench.evaluate.feed import evaluate
from bench.evaluate.references import score_references
from bench.features.spectrum import Spectrum
from bench.plan.cell import Cell
from bench.plan.matrix import Plan
from bench.plan.scores import reference_id, references
from bench.report.publish import collect
from bench.run.walk import is_scored
from bench.store.layout import Store, read_json
from bench.track.parcel import pack, unpack

CPU = torch.device("cpu")
OUTPUTS = {"samples": 40, "batch": 20, "steps": 2}


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Cell, Plan, Store]:
    """One student after two steps, and its teacher."""
    changes: dict[str, Any] = {
        "methods": ["none"],
        "architectures": {"lite": {"architecture": "ldm_unet", "multiples": [1], "blocks": 1,
                                   "attention": []}},
        "budget": {"steps": 2, "batch": 2, "lr": 1e-3},
        "outputs": OUTPUTS,
        "metrics": ["params", "swd", "spectrum", "psnr", "denoising"],
    }  # fmt: skip
    plan, store = plan_of(tmp_path, **changes), Store(tmp_path / "runs")
    (cell,) = student_cells(plan)
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    return cell, plan, store


def test_as_many_other_real_images_are_scored_once_by_the_metrics_of_samples(
    scored: tuple[Cell, Plan, Store],
) -> None:
    cell, plan, store = scored
    assert not is_scored(cell, plan, store)
    assert score_references(cell, store, plan.metrics, CPU) == {}
    assert is_scored(cell, plan, store)
    path = store.reference(reference_id(cell))
    found = {score["metric"]: score for score in read_json(path).values()}
    assert set(found) == {"swd", "spectrum"}
    protocol = found["spectrum"]["protocol"]
    assert (protocol["images"], protocol["real images"], protocol["split"]) == (40, 1000, "train")
    assert "split between" in protocol["drawn"]
    power = [
        Spectrum(CPU)(torch.stack([image(split, i) for i in range(count)]), 0)["power"]
        for split, count in (("train", 1000), ("between", PhotoCrops({}).count("between", "A")))
    ]
    decibels = [10 * p.double().mean(0).log10() for p in power]
    assert found["spectrum"]["values"]["real_01"] == pytest.approx(decibels[0][0].item(), rel=1e-6)
    assert found["spectrum"]["values"]["out_01"] == pytest.approx(decibels[1][0].item(), abs=1.5)
    before = path.read_bytes()
    assert score_references(cell, store, plan.metrics, CPU) == {}
    assert path.read_bytes() == before


def image(split: str, index: int) -> torch.Tensor:
    pixels = PhotoCrops({}).read(split, "A", index, 16)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def test_tables_show_them_once_per_place_and_say_which_they_are(
    scored: tuple[Cell, Plan, Store],
) -> None:
    cell, plan, store = scored
    score_references(cell, store, plan.metrics, CPU)
    rows = collect(plan, store)
    assert set(rows.entries["role"]) == {"student"}
    assert set(rows.scores["role"]) == {"student"}
    assert set(rows.references["method"]) == {"real images"}
    values = rows.references.set_index("name")["value"]
    tables = {name: table_of(name, rows) for name in ("results", "spectral_sign", "denoising")}
    results, signs = tables["results"], tables["spectral_sign"]
    assert [row[-4:] for block in results.blocks for row in block][1] == [
        "real images", f"{values['swd']:.2f}", f"{values['spectrum']:.2f}", "—",
    ]  # fmt: skip
    last = signs.blocks[-1][-1]
    low = np.mean([values[f"out_0{r}"] - values[f"real_0{r}"] for r in (1, 2, 3, 4)])
    assert last[2:4] == ["real images", f"{low:+.2f}"]
    for table in (results, signs):
        (note,) = [n for n in table.notes if n.startswith("real images (photo_crops, lite): 40 ")]
        assert "images of split between, held against the real set" in note
    assert "real images" not in str(tables["denoising"].blocks)
    assert tables["denoising"].header[3:5] == ["noise, t = 20 ↓", "noise, t = 100 ↓"]


def table_of(name: str, rows: Any) -> Table:
    (table,) = [x for x in REPORT.load(name, "test")().make(rows) if x.name == name]
    assert isinstance(table, Table)
    return table


def test_a_parcel_brings_them_along(scored: tuple[Cell, Plan, Store], tmp_path: Path) -> None:
    cell, plan, store = scored
    score_references(cell, store, plan.metrics, CPU)
    pack(cell, store, tmp_path / "parcel.zip")
    other = Store(tmp_path / "other")
    other.root.mkdir()
    unpack(cell.key, tmp_path / "parcel.zip", other)
    assert collect(plan, other).references.equals(collect(plan, store).references)


def test_without_another_draw_they_are_drawn_from_the_real_set_and_that_is_said(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(5):
        pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    data = {"mine": {"dataset": "image_folder", "path": str(tmp_path / "images")}}
    for samples, datasets in ((6, data), (3000, ["photo_crops"])):
        plan = plan_of(tmp_path, datasets=datasets, outputs={"samples": samples})
        cell = student_cells(plan)[0]
        for wanted in references(cell, plan.metrics):
            assert wanted.protocol["drawn"] == (
                "at random, with replacement, from the real set itself"
            )
    plan = plan_of(tmp_path, datasets=data, outputs={"samples": 6}, metrics=["spectrum"])
    assert score_references(student_cells(plan)[0], Store(tmp_path / "r"), plan.metrics, CPU) == {}


def test_outputs_that_are_made_from_inputs_have_none(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, metrics=["psnr", "swd", "spectrum"])
    assert not any(list(references(cell, plan.metrics)) for cell in plan.cells.values())


def test_windows_between_are_none_of_the_train_split() -> None:
    crops = PhotoCrops({})
    train = {crops.read("train", "A", i, 48).tobytes() for i in range(crops.count("train", "A"))}
    count = crops.count("between", "A")
    assert count > 2048
    between = [crops.read("between", "A", i, 48).tobytes() for i in range(count)]
    assert sum(window in train for window in between) < 0.01 * count  # flat sky has equal windows


def test_few_samples_are_named_in_heading_and_protocol(tmp_path: Path) -> None:
    from bench.plan.scores import image_scores

    for samples, heading in ((2047, "FID of 2,047 samples (biased)"), (2048, "")):
        plan = plan_of(tmp_path, outputs={"samples": samples}, metrics=["fid", "kid"])
        fid, kid = image_scores(student_cells(plan)[0], plan.metrics)
        assert (fid.label, kid.label) == (heading, "")
        assert ("bias" in fid.protocol) == bool(heading)
    tiny = tiny_plan(tmp_path, metrics=["fid"])
    assert all(
        not w.label and "bias" not in json.dumps(w.protocol)
        for cell in tiny.cells.values()
        for w in image_scores(cell, tiny.metrics)
    )
