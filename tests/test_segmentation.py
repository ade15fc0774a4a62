"""mIoU: the confusion matrix against reference values, and the segmenter that a plan trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import Runs
from tiny import by_method, tiny_plan

from bench.data.photo_textures import PhotoTextures
from bench.metrics.miou import MIoU
from bench.rows import scores_of
from bench.segmenter import read_labels
from bench.store import Store

TEXTURES = {"datasets": ["photo_textures"], "methods": ["none"], "seeds": [0]}


def miou(predicted: Any, labels: Any, classes: int) -> dict[str, float]:
    metric = MIoU({}, [str(i) for i in range(classes)])
    for p, t in zip(torch.as_tensor(predicted), torch.as_tensor(labels), strict=True):
        metric.add(p[None], t[None])
    return metric.value()


def reference() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    t = rng.integers(0, 4, (2, 8, 8))
    return np.where(rng.random(t.shape) < 0.7, t, rng.integers(0, 4, t.shape)), t


def test_miou_equals_reference_values_computed_elsewhere() -> None:
    """One matrix over all images: the mean of per-image values would be 0.6046."""
    p, t = reference()
    assert miou(p, t, 4)["miou"] == pytest.approx(0.6080759518, abs=1e-9)
    merged = [np.where(x == 3, 2, x) for x in (p, t)]
    assert miou(*merged, 4)["miou"] == pytest.approx(0.6278133903, abs=1e-9)
    ignored = t.copy()
    ignored[:, 0] = 255
    assert miou(p, ignored, 4)["miou"] == pytest.approx(0.5964646883, abs=1e-9)
    assert miou(np.zeros_like(t), t, 4)["miou"] == pytest.approx(0.0527343750, abs=1e-9)


def test_a_label_map_is_read_by_its_nearest_colours() -> None:
    """Blurred and noisy colours, as JPEG and resizing leave them, are still the class's own."""
    dataset = PhotoTextures({})
    exact = torch.from_numpy(dataset.read("test", "A", 3, 64).copy()).permute(2, 0, 1)[None] / 255
    labels = read_labels(exact, dataset.labels)
    colours = torch.tensor(list(dataset.labels.values()))
    assert torch.equal(colours[labels[0]].permute(2, 0, 1), exact[0].mul(255).round().long())
    torch.manual_seed(0)
    noisy = (exact + 0.05 * torch.randn_like(exact)).clamp(0, 1)
    assert (read_labels(noisy, dataset.labels) == labels).float().mean() > 0.999


def test_a_plan_trains_one_segmenter_per_data_set_before_its_students(tmp_path: Path) -> None:
    plan = tiny_plan(
        tmp_path,
        datasets=["photo_textures", "photo_edges"],
        methods=["none"],
        metrics={"psnr": {}, "miou": {"steps": 3}},
    )
    (entry,) = [e for e in plan.entries if e.role == "segmenter"]
    assert entry.dataset == "photo_textures"
    assert entry.cell is not None
    assert entry.cell.budget.steps == 3
    order = list(plan.order().static_order())
    students = {e.dataset: e.cell.key for e in plan.students if e.cell}
    assert order.index(entry.cell.key) < order.index(students["photo_textures"])
    assert entry.cell.key in plan.cells
    longer = tiny_plan(tmp_path, datasets=["photo_textures"], metrics={"miou": {"steps": 4}})
    assert by_method(longer)["none"].key == students["photo_textures"]  # never retrains a student


def test_data_without_labels_say_so_instead_of_a_score(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], metrics=["miou"])
    (score,) = scores_of(by_method(plan)["none"], plan, Store(tmp_path / "runs"))
    assert score["values"] == {}
    assert score["reason"] == "needs labels, and photo_edges has none"


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(
        tmp_path_factory.mktemp("textures"),
        **TEXTURES,
        size=64,
        metrics={"miou": {"steps": 150}, "psnr": {}},
    )
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    return runs


def test_a_segmenter_knows_real_photographs_and_not_those_of_a_beginner(textures: Runs) -> None:
    found = {}
    for _, scores, _ in textures.results().values():
        found["student" if "psnr" in scores else "real"] = scores["miou"]
    assert found["real"]["miou"] > 0.6
    assert found["student"]["miou"] < 0.3
    names = {f"iou_{name}" for name in PhotoTextures.labels}
    assert set(found["real"]) == {"miou"} | names


def test_the_table_shows_what_the_segmenter_makes_of_the_real_images(textures: Runs) -> None:
    out = textures.folder / "report"
    assert textures("report", "--out", str(out)).returncode == 0
    table = (out / "tables" / "results.md").read_text()
    (line,) = [x for x in table.splitlines() if "real images" in x and x.startswith("|")]
    assert "0." in line
    assert "segmenter itself" in table


def test_drn_d_105_has_the_published_size_and_reads_only_its_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """54.80 M parameters with ImageNet's classifier (fyu/drn's table), logits at an eighth."""
    from bench import weights
    from bench.errors import WeightsError
    from bench.segmenters import drn_d_105

    made = drn_d_105.network(19).eval()
    base = sum(p.numel() for p in made.base.parameters())
    assert round((base + 512 * 1000 + 1000) / 1e6, 1) == 54.8
    with torch.no_grad():
        assert made(torch.zeros(1, 3, 64, 128)).shape == (1, 19, 8, 16)
    file = tmp_path / "drn.pth"
    monkeypatch.setattr(weights, "find", lambda name: file)
    torch.save({f"module.{n}": x for n, x in made.state_dict().items()}, file)
    classes = drn_d_105.DRND105(torch.device("cpu"))(torch.rand(1, 3, 64, 64))
    assert classes.shape == (1, 64, 64)
    torch.save({"base.0.0.weight": torch.zeros(16, 3, 7, 7)}, file)
    with pytest.raises(WeightsError, match="no DRN-D-105"):
        drn_d_105.DRND105(torch.device("cpu"))
