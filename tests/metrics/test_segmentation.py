"""mIoU: the confusion matrix against reference values, and the segmenter that a plan trains."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import Runs
from PIL import Image
from tiny import by_method, tiny_plan, train_together

from bench.contracts.kinds import SEGMENTER
from bench.data.cityscapes import Cityscapes
from bench.data.photo_textures import PhotoTextures
from bench.errors import DataError
from bench.evaluate.feed import evaluate
from bench.maths.labels import largest, read_labels
from bench.metrics.miou import MIoU
from bench.plan.cell import open_dataset
from bench.report.rows import scores_of
from bench.segmenters.drn_d_105 import DRND105, upsampled
from bench.store.layout import Store

TEXTURES = {"datasets": ["photo_textures"], "methods": ["none"], "seeds": [0]}


def miou(predicted: Any, labels: Any, classes: int) -> dict[str, float]:
    metric = MIoU({})
    metric.begin(tuple(str(i) for i in range(classes)))
    for p, t in zip(torch.as_tensor(predicted), torch.as_tensor(labels), strict=True):
        metric.count(p[None], t[None])
    return metric.value()


@pytest.mark.parametrize(
    ("predicted", "labels", "classes", "expected"),
    [
        pytest.param([[[0, 1], [2, 3]]], [[[0, 1], [2, 3]]], 4, {"miou": 1.0}, id="perfect"),
        pytest.param(
            [[[0, 1], [1, 1]]],
            [[[0, 0], [1, 1]]],
            3,
            {"miou": (1 / 2 + 2 / 3) / 2, "iou_0": 1 / 2, "iou_1": 2 / 3},
            id="half of one class taken for the other; a third that occurs nowhere",
        ),
        pytest.param(
            [[[0, 2], [1, 1]]],
            [[[0, 0], [1, 1]]],
            2,
            {"miou": 0.75, "iou_0": 1 / 2},
            id="a pixel of a class that the labels do not have",
        ),
        pytest.param(
            [[[0, 1], [1, 1]]], [[[0, 255], [1, 1]]], 2, {"miou": 1.0}, id="a pixel without a label"
        ),
    ],
)
def test_miou_of_worked_examples(
    predicted: Any, labels: Any, classes: int, expected: dict[str, float]
) -> None:
    found = miou(predicted, labels, classes)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


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


def cityscapes(folder: Path) -> dict[str, Any]:
    """Write Cityscapes' own layout: a road in the left half of 2048 x 1024 pixels, sky at right."""
    labels = Image.new("RGB", (2048, 1024), Cityscapes.labels["sky"])
    labels.paste(Cityscapes.labels["road"], (0, 0, 1024, 1024))
    for split in ("train", "val"):
        for top, end, image in (
            ("leftImg8bit", "leftImg8bit", Image.new("RGB", (64, 32))),
            ("gtFine", "gtFine_color", labels),
        ):
            (folder / top / split / "ulm").mkdir(parents=True)
            image.save(folder / top / split / "ulm" / f"ulm_000000_000019_{end}.png")
    return {"cityscapes": {"layout": "official", "path": str(folder)}}


def test_labels_of_cityscapes_are_judged_at_their_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The papers' protocol: what is wrong in 100 of 1024 columns would vanish at 32 px."""

    def segmenter(device: torch.device) -> Any:
        def predict(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
            assert images.shape == (1, 3, 32, 32)
            found = torch.full((1, *size), DRND105.classes.index("sky"))
            found[..., :924] = DRND105.classes.index("road")
            return found

        predict.classes = DRND105.classes  # type: ignore[attr-defined]
        return predict

    monkeypatch.setattr(type(SEGMENTER), "load", _loading(SEGMENTER, segmenter))
    plan = tiny_plan(
        tmp_path,
        datasets=cityscapes(tmp_path / "cs"),
        methods=["none"],
        metrics={"miou": {"segmenter": "drn_d_105"}},
    )
    monkeypatch.setattr("bench.evaluate.feed.weights_protocol", lambda metric: {})
    store = Store(tmp_path / "runs")
    cell = by_method(plan)["none"]
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, torch.device("cpu")) == {}
    (score,) = store.scores(cell.key).values()
    assert score["protocol"]["labels"] == "2048 x 1024"
    assert score["values"]["iou_road"] == pytest.approx(924 / 1024)
    assert score["values"]["iou_sky"] == pytest.approx(1024 / 1124)
    odd = tmp_path / "cs" / "gtFine" / "val" / "ulm" / "ulm_000000_000019_gtFine_color.png"
    Image.new("RGB", (1024, 512)).save(odd)
    with pytest.raises(DataError, match=f"{odd}: 1024 x 512 pixels, where Cityscapes has"):
        open_dataset(cell.dataset).label_map("test", 0, 32)


def _loading(kind: Any, planted: Any) -> Any:
    """Return a `load` that gives `planted` for one kind of plug-in."""
    real = type(kind).load
    return lambda asked, name, where: planted if asked == kind else real(asked, name, where)


@pytest.mark.gpu
def test_labels_are_judged_where_the_networks_are(tmp_path: Path) -> None:
    """A segmenter and a student on a GPU, and labels that were read on the host."""
    metrics = {"miou": {"steps": 2}}
    plan = tiny_plan(tmp_path, **TEXTURES, metrics=metrics)
    store, device = Store(tmp_path / "runs"), torch.device("cuda")
    for key in plan.order().static_order():
        train_together([plan.cells[key]], plan, store, device="cuda")
        assert evaluate(plan.cells[key], store, plan.metrics, device) == {}
        (score,) = store.scores(key).values()
        assert 0 <= score["values"]["miou"] <= 1


def test_drn_d_105_has_the_published_size_and_reads_only_its_own_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """54.80 M parameters with ImageNet's classifier (fyu/drn's table), logits at an eighth."""
    from bench.errors import WeightsError
    from bench.fetch import weights
    from bench.segmenters import drn_d_105

    made = drn_d_105.network(19).eval()
    base = sum(p.numel() for p in made.base.parameters())
    assert round((base + 512 * 1000 + 1000) / 1e6, 1) == 54.8
    with torch.no_grad():
        assert made(torch.zeros(1, 3, 64, 128)).shape == (1, 19, 8, 16)
    file = tmp_path / "drn.pth"
    monkeypatch.setattr(weights, "find", lambda name: file)
    torch.save({f"module.{n}": x for n, x in made.state_dict().items()}, file)
    classes = drn_d_105.DRND105(torch.device("cpu"))(torch.rand(1, 3, 64, 64), (128, 256))
    assert classes.shape == (1, 128, 256)
    torch.save({"base.0.0.weight": torch.zeros(16, 3, 7, 7)}, file)
    with pytest.raises(WeightsError, match="no DRN-D-105"):
        drn_d_105.DRND105(torch.device("cpu"))


@pytest.mark.parametrize(("height", "width"), [(128, 256), (64, 64)])
def test_drn_d_105_resizes_as_the_papers_evaluation_does(height: int, width: int) -> None:
    """DRN's frozen layer by its own loops, log-softmax, and Pillow's resize of each class."""
    logits = torch.randn(2, 19, 8, 8, generator=torch.manual_seed(0))
    up = torch.nn.ConvTranspose2d(19, 19, 16, stride=8, padding=4, groups=19, bias=False)
    with torch.no_grad():
        for i, j in itertools.product(range(16), range(16)):
            up.weight[:, 0, i, j] = (1 - abs(i / 8 - 15 / 16)) * (1 - abs(j / 8 - 15 / 16))
        wanted = torch.nn.LogSoftmax(1)(up(logits))
    found = upsampled(logits).log_softmax(1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    resized = np.array(
        [
            [Image.fromarray(c).resize((width, height), Image.Resampling.BILINEAR) for c in image]
            for image in wanted.numpy()
        ]
    )
    segmenter = object.__new__(DRND105)
    segmenter.network = lambda images: logits
    classes = segmenter(torch.rand(2, 3, 64, 64), (height, width))
    first, second = np.sort(resized, 1)[:, -1], np.sort(resized, 1)[:, -2]
    settled = torch.from_numpy(first - second > 1e-5)
    assert settled.float().mean() > 0.999
    assert torch.equal(classes[settled], torch.from_numpy(resized).argmax(1)[settled])
    once = largest(logits, (height, width))  # as a trained segmenter's, in one step
    assert torch.equal(once, classes) == ((height, width) == (64, 64))
