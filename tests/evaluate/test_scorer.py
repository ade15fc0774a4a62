"""Scores of sets, of folders, and of metrics that cannot be had."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import TESTS, Runs
from PIL import Image
from tiny import tiny_plan
from torch import Tensor

from bench.contracts.kinds import METRIC
from bench.contracts.metric import Features, ImageMetric, Scene, SetMetric
from bench.errors import DataError, SuiteError
from bench.evaluate.feed import Feed, Images
from bench.evaluate.folders import score_folders
from bench.features.laplacian import Laplacian
from bench.fetch import weights
from bench.metrics.swd import SWD
from bench.plugins import registry as plugins
from bench.plugins.registry import Part


class MeanColour:
    """An extractor that counts how often it is asked."""

    calls = 0

    def __init__(self, device: torch.device) -> None:
        pass

    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        type(self).calls += 1
        return {"mean": images.mean((2, 3)), "place": first + torch.arange(len(images))}


class Shift(SetMetric):
    features = "mean_colour"

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        assert outputs["place"].tolist() == list(range(len(outputs["place"])))
        return {"shift": float((outputs["mean"].mean(0) - real["mean"].mean(0)).abs().sum())}


class Fragile(ImageMetric):
    def add(self, output: Tensor, target: Tensor) -> None:
        raise ValueError("too bright")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {"mean_colour": MeanColour, "shift": Shift, "again": Shift, "fragile": Fragile}
    real = plugins.Kind.load
    monkeypatch.setattr(
        plugins.Kind, "load", lambda kind, name, where: planted.get(name) or real(kind, name, where)
    )
    MeanColour.calls = 0


def test_an_extractor_runs_once_per_image_and_a_failing_metric_stops_no_other(
    planted: None,
) -> None:
    parts = {n: Part(METRIC, n, 1, {}) for n in ("shift", "again", "fragile", "psnr")}
    feed = Feed(parts, dict.fromkeys(parts, Scene(torch.device("cpu"))))
    black, grey = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    for _ in range(3):
        feed.add(Images(grey, black))
    assert MeanColour.calls == 3
    asked: list[str] = []

    def real(name: str, extractor: Any) -> Features:
        asked.append(name)
        return {"mean": torch.full((4, 3), 0.2)}

    found = feed.values(real)
    assert asked == ["mean_colour"]  # once, for both metrics
    assert found["shift"] == {"shift": pytest.approx(0.9)}
    assert found["again"] == found["shift"]
    assert found["psnr"]["psnr"] == pytest.approx(6.0206, abs=1e-4)
    assert list(feed.failures) == ["fragile"]
    assert "too bright" in feed.failures["fragile"]


def test_a_metric_without_its_weights_is_said_before_training_or_left_as_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops with exit code 2 and trains nothing; --allow-missing shows the hole."""
    runs = Runs(tmp_path, methods=["none"], metrics=["psnr", "lpips"])
    home = {"DISTILLBENCH_HOME": str(tmp_path / "home")}
    stopped = runs("run", "--mlflow", "none", **home)
    assert stopped.returncode == 2
    assert "distillbench fetch alexnet" in stopped.stderr
    assert "--allow-missing" in stopped.stderr
    assert not runs.results()
    done = runs("run", "--mlflow", "none", "--allow-missing", **home)
    assert done.returncode == 0, done.stderr
    again = runs("run", "--mlflow", "none", "--allow-missing", **home)
    assert again.stdout.startswith("tiny: 0 trained, 1 cached")
    out = tmp_path / "report"
    assert runs("report", "--out", str(out), **home).returncode == 0
    table = (out / "tables" / "results.md").read_text()
    assert "LPIPS" not in table.splitlines()[2]  # no column of nothing, but its reason
    assert re.search(r"^- LPIPS .*distillbench fetch alexnet", table, re.M)


def folder(path: Path, count: int = 3, size: int = 32, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(
            path / f"{i}.png"
        )
    return path


def parts(*names: str) -> list[Part]:
    return [METRIC.part(name, {}, name) for name in names]


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("metric", "features", "said"),
    [
        ("fid", "dinov2_vitl14", "FID: features dinov2_vitl14 are token, not pool."),
        ("kid", "laplacian", "KID: features laplacian are patches of each level, not pool."),
        ("coverage", "spectrum", "coverage: features spectrum are power, not pool."),
    ],
)
def test_features_that_a_metric_cannot_read_are_refused_before_training(
    tmp_path: Path, metric: str, features: str, said: str
) -> None:
    with pytest.raises(SuiteError, match=re.escape(said)):
        tiny_plan(tmp_path, metrics={metric: {"features": features}})


def test_folders_score_as_the_metrics_do(tmp_path: Path) -> None:
    made, truth = folder(tmp_path / "made"), folder(tmp_path / "truth", seed=1)
    (found,) = score_folders(made, None, truth, parts("psnr"), CPU)
    a, b = (
        np.stack([np.asarray(Image.open(p / f"{i}.png")) for i in range(3)]) / 255
        for p in (made, truth)
    )
    expected = np.mean(-10 * np.log10(np.square(a - b).mean((1, 2, 3))))
    assert found["values"]["psnr"] == pytest.approx(expected, rel=1e-6)
    assert found["protocol"]["images"] == 3


def test_pairs_go_by_name_whatever_the_ending(tmp_path: Path) -> None:
    made, truth = folder(tmp_path / "made"), tmp_path / "truth"
    truth.mkdir()
    for i in range(3):
        Image.open(made / f"{i}.png").save(truth / f"{i}.bmp")
    (found,) = score_folders(made, None, truth, parts("psnr"), CPU)
    assert found["values"]["psnr"] == 100.0


def spoil(kind: str, made: Path, truth: Path) -> None:
    if kind == "missing pair":
        (truth / "1.png").unlink()
    elif kind == "missing output":
        (made / "1.png").unlink()
    elif kind == "truncated":
        (made / "2.png").write_bytes((made / "2.png").read_bytes()[:900])
    elif kind == "no image":
        (made / "2.png").write_text("hello")
    elif kind == "mixed sizes":
        Image.new("RGB", (16, 32)).save(made / "1.png")
    elif kind == "empty":
        for file in truth.iterdir():
            file.unlink()
    elif kind == "16 bits":
        Image.fromarray(np.zeros((32, 32), np.uint16)).save(made / "1.png")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing pair", "made/1.png: no ground truth of this name"),
        ("missing output", "truth/1.png: no output of this name"),
        ("truncated", "made/2.png: cannot be decoded"),
        ("no image", "made/2.png: cannot be decoded"),
        ("mixed sizes", "made/1.png: 16 x 32 pixels"),
        ("empty", "truth: no images"),
        ("16 bits", "made/1.png: colours in mode I;16"),
    ],
)
def test_bad_folders_are_refused_by_name(tmp_path: Path, kind: str, said: str) -> None:
    made, truth = folder(tmp_path / "made"), folder(tmp_path / "truth", seed=1)
    spoil(kind, made, truth)
    with pytest.raises(DataError) as caught:
        score_folders(made, None, truth, parts("psnr"), CPU)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "said"),
    [("psnr", "--target"), ("swd", "--real"), ("params", "from folders"), ("miou", "from folders")],
)
def test_a_metric_that_folders_cannot_serve_is_refused(
    tmp_path: Path, metric: str, said: str
) -> None:
    with pytest.raises(SuiteError, match=said):
        score_folders(folder(tmp_path / "made"), None, None, parts(metric), CPU)


def test_grey_images_are_read_as_rgb_and_said(tmp_path: Path) -> None:
    made = folder(tmp_path / "made")
    Image.new("L", (32, 32), 90).save(made / "0.png")
    said: list[str] = []
    score_folders(made, None, made, parts("psnr"), CPU, say=said.append)
    assert said[0].endswith("1 of 3 images are grey, read as RGB")


def test_the_command_line_scores_two_folders(tmp_path: Path) -> None:
    made, truth = folder(tmp_path / "made"), folder(tmp_path / "truth", seed=1)
    command = [sys.executable, "-m", "bench", "score", str(made), "--target", str(truth)]
    environment: dict[str, Any] = {"cwd": TESTS.parent, "capture_output": True, "text": True}
    done = subprocess.run([*command, "--metrics", "psnr,ssim", "--json"], **environment, check=True)
    assert [s["metric"] for s in json.loads(done.stdout)] == ["psnr", "ssim"]
    wrong = subprocess.run([*command, "--metrics", "pnsr"], **environment, check=False)
    assert wrong.returncode == 2
    assert "Did you mean 'psnr'?" in wrong.stderr


def test_the_features_of_a_real_set_are_computed_once(tmp_path: Path) -> None:
    """Two students and one real set: a file in the store, by content."""
    runs = Runs(tmp_path, methods=["none"], seeds=[0, 1], metrics=["swd"])
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    (kept,) = (tmp_path / "runs" / "reals").iterdir()
    assert kept.suffix == ".safetensors"
    scores = [s["swd"]["swd"] for _, s, _ in runs.results().values()]
    assert len(scores) == 2
    assert all(value > 0 for value in scores)


def test_weights_that_a_metric_needs_follow_its_parameters() -> None:
    part = METRIC.part("lpips", {"nets": ["alex", "vgg"]}, "test")
    needed = part.declared.pretrained(part.params)
    assert set(needed) == {"vgg16", "alexnet"}
    assert all(name in weights.KNOWN for name in needed)


def test_snapshots_show_the_last_checkpoint_beside_the_best_on_the_test_set(
    tmp_path: Path,
) -> None:
    """And change no weight: what is kept on the way is only written down."""
    watched = {"times": 4, "metrics": ["psnr"]}
    suite: dict[str, Any] = {"methods": ["none"], "seeds": [0, 1], "budget": {"steps": 40}}
    runs = Runs(tmp_path / "watched", **suite, snapshots=watched)
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    (tmp_path / "plain").mkdir()
    plain = Runs(tmp_path / "plain", **suite)
    assert plain("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    ends = [
        {json.loads(p.read_text())["weights"] for p in x.folder.glob("runs/cells/*/end.json")}
        for x in (runs, plain)
    ]
    assert ends[0] == ends[1]
    out = tmp_path / "report"
    assert runs("report", "--out", str(out)).returncode == 0
    (line,) = [
        x for x in (out / "tables" / "selection.csv").read_text().splitlines() if "none" in x
    ]
    found: dict[str, list[float]] = {}
    for path in (tmp_path / "watched" / "runs" / "cells").glob("*/scores.json"):
        for s in json.loads(path.read_text()).values():
            found.setdefault(s["protocol"]["checkpoint"], []).append(s["values"]["psnr"])
    steps = [f"step {n} of 40" for n in (10, 20, 30, 40)]
    assert sorted(found) == sorted(["last", *steps])
    assert sorted(found["last"]) == sorted(found["step 40 of 40"])
    best = np.mean(np.max([found[s] for s in steps], axis=0))
    assert f"{best:.2f}" in line
    assert f"{np.mean(found['last']):.2f}" in line


def test_a_suite_without_snapshots_has_no_such_table(tmp_path: Path) -> None:
    runs = Runs(tmp_path, methods=["none"])
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    assert runs("report", "--out", str(tmp_path / "report")).returncode == 0
    assert not (tmp_path / "report" / "tables" / "selection.md").exists()


def test_a_distance_of_folders_is_that_of_their_images_features(tmp_path: Path) -> None:
    fakes, photos = folder(tmp_path / "fakes", 4), folder(tmp_path / "photos", 5, seed=1)
    (found,) = score_folders(fakes, photos, None, parts("swd"), CPU)
    features = []
    for path in (fakes, photos):
        images = [np.asarray(Image.open(p)) for p in sorted(path.glob("*.png"))]
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
        features.append(Laplacian(CPU)(pixels, 0))
    assert found["values"] == pytest.approx(SWD({}).distance(*features))
    assert found["protocol"]["real images"] == 5


def test_a_folder_that_is_not_there_and_a_metric_that_fails_are_one_line(tmp_path: Path) -> None:
    small = folder(tmp_path / "small", size=8)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        score_folders(tmp_path / "nowhere", small, None, parts("swd"), CPU)
    with pytest.raises(SuiteError, match=r"^swd: .*8"):
        score_folders(small, small, None, parts("swd"), CPU)


def test_what_lies_in_a_folder_and_is_not_scored_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    made = folder(tmp_path / "made")
    score_folders(made, None, made, parts("psnr"), CPU, say=said.append)
    assert not any("notes.txt" in text or ".txt" in text for text in said)
    (made / "notes.txt").write_text("seed 3")
    score_folders(made, None, made, parts("psnr"), CPU, say=said.append)
    assert any(".txt" in text for text in said)


def test_outputs_are_resampled_with_their_own_scenes_whatever_the_names_sort_like(
    tmp_path: Path,
) -> None:
    """As 0, 1, 10 and as 0_fake_B, 10_fake_B, 11_fake_B: the errors are the same."""
    truth, plain, results = (tmp_path / name for name in ("truth", "plain", "results"))
    rng = np.random.default_rng(0)
    for path in (truth, plain, results):
        path.mkdir()
    for i in range(12):
        scene = rng.integers(0, 256, (32, 32, 3)) * (i / 12)
        made = np.clip(scene + rng.normal(0, 20, scene.shape), 0, 255).astype(np.uint8)
        Image.fromarray(scene.astype(np.uint8)).save(truth / f"{i}.png")
        Image.fromarray(made).save(plain / f"{i}.png")
        Image.fromarray(made).save(results / f"{i}_fake_B.png")
    (first,), (second,) = (
        score_folders(outputs, truth, truth, parts("swd"), CPU) for outputs in (plain, results)
    )
    # another order of the outputs draws other patches and images: alike, not equal
    assert second["values"]["swd"] == pytest.approx(first["values"]["swd"], rel=0.02)
    assert second["errors"]["swd"] == pytest.approx(first["errors"]["swd"], rel=0.2)
