"""A folder of images is translated as `run` does it, whatever they are called, and however large."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from tiny import train_together, write_suite

from bench.cli.main import main
from bench.evaluate.generate import open_students, outputs
from bench.export.packing import pack
from bench.export.settings import Settings, read
from bench.export.student import open_student
from bench.export.translate import to_pixels
from bench.plan.cell import Cell, open_dataset
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.store.layout import Store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cell, Store]:
    """An export, and where its student was trained."""
    folder = tmp_path_factory.mktemp("made")
    suite = write_suite(folder, methods=["none"])
    plan, store = expand(load(suite)), Store(folder / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    student = open_student(entry, plan, store, "AtoB")
    packed = pack(student, plan, store, folder / "exports", ["safetensors", "onnx"])
    return packed.folder, entry.cell, store


def noise(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def pixels_of(path: Path) -> Any:
    return np.asarray(Image.open(path))


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["generate", *(str(word) for word in words)])


@pytest.mark.parametrize("batch", [1, 16])
def test_outputs_are_those_that_the_suite_scored_bit_for_bit(
    batch: int, made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, cell, store = made
    dataset = open_dataset(cell.dataset)
    count = dataset.count("test", "A")
    (tmp_path / "in").mkdir()
    for i in range(count):
        pixels = dataset.read("test", "A", i, cell.size)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{i:03}.png")
    done = call(export, tmp_path / "in", "--out", tmp_path / "out", "--batch", batch)
    assert done.exit_code == 0, done.output
    (student,) = open_students(cell, store, CPU)
    expected = torch.cat([b.output for b in outputs(cell, student, "AtoB", "test")])
    expected = expected.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    found = np.stack([pixels_of(tmp_path / "out" / f"{i:03}.png") for i in range(count)])
    np.testing.assert_array_equal(found, expected)
    other = call(export, tmp_path / "in", "--out", tmp_path / "onnx", "--engine", "onnxruntime")
    assert other.exit_code == 0, other.output
    found = np.stack([pixels_of(tmp_path / "onnx" / f"{i:03}.png") for i in range(count)])
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("rounding", ["rounded", "truncated"])
def test_bits_are_those_of_test_outputs(rounding: str) -> None:
    from bench.evaluate.generate import to_8_bits

    images = torch.linspace(-1.1, 1.1, 3 * 70 * 70).reshape(1, 3, 70, 70)
    expected = to_8_bits(images, rounding == "truncated").mul(255).round().byte()
    found = to_pixels(images.numpy(), rounding)
    np.testing.assert_array_equal(found, expected.permute(0, 2, 3, 1).numpy())


def test_any_size_is_padded_by_reflection_and_cropped(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 32)
    noise(tmp_path / "in" / "b.png", 50, 70)
    noise(tmp_path / "in" / "c.jpg", 5, 1)
    done = call(export, tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "2 of 3 images have sides that are no multiple of 32" in done.output
    assert pixels_of(tmp_path / "out" / "b.png").shape == (50, 70, 3)
    assert pixels_of(tmp_path / "out" / "c.png").shape == (5, 1, 3)
    padded = np.pad(pixels_of(tmp_path / "in" / "b.png"), ((0, 14), (0, 26), (0, 0)), "reflect")
    (tmp_path / "whole").mkdir()
    Image.fromarray(padded).save(tmp_path / "whole" / "b.png")
    assert call(export, tmp_path / "whole", "--out", tmp_path / "two").exit_code == 0
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "two" / "b.png")[:50, :70], pixels_of(tmp_path / "out" / "b.png")
    )


def test_a_size_is_that_of_the_suite(made: tuple[Path, Cell, Store], tmp_path: Path) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "b.png", 50, 70)
    done = call(export, tmp_path / "in", "--out", tmp_path / "out", "--size", 32)
    assert done.exit_code == 0, done.output
    assert pixels_of(tmp_path / "out" / "b.png").shape == (32, 32, 3)
    refused = call(export, tmp_path / "in", "--out", tmp_path / "out2", "--size", 33)
    assert refused.exit_code == 2
    assert "takes multiples of 32" in refused.output


def test_a_stopped_run_goes_on_and_another_export_does_not_mix_in(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    for name in "abc":
        noise(tmp_path / "in" / f"{name}.png", 32, 32)
    words = (export, tmp_path / "in", "--out", tmp_path / "out")
    assert call(*words).exit_code == 0
    (tmp_path / "out" / "b.png").unlink()
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    done = call(*words)
    assert "2 of 3 are there already" in done.output
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before
    refused = call(*words, "--engine", "onnxruntime")
    assert refused.exit_code == 2
    assert "holds images of another export, file or size" in refused.output


def test_an_output_stays_only_if_it_was_made_from_the_same_image(
    made: tuple[Path, Cell, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, _, _ = made
    for folder, levels in (("a", 40), ("b", 200)):  # both older than any output
        for name in ("1", "2") if folder == "a" else ("1", "3"):
            (tmp_path / folder).mkdir(exist_ok=True)
            path = tmp_path / folder / f"{name}.png"
            Image.new("RGB", (32, 32), (levels, 0, levels)).save(path)
            os.utime(path, (1, 1))
    out = ("--out", tmp_path / "out")
    assert call(export, tmp_path / "a", *out).exit_code == 0
    first = pixels_of(tmp_path / "out" / "1.png")
    monkeypatch.setattr("bench.cli.export._engine", lambda *given: 1 / 0)
    stopped = call(export, tmp_path / "b", *out)  # before its first image
    assert stopped.exit_code != 0
    assert "1 outputs in" in stopped.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["2.png", "made_by.json"]
    monkeypatch.undo()
    assert "2 images" in call(export, tmp_path / "b", *out).output
    assert call(export, tmp_path / "b", "--out", tmp_path / "alone").exit_code == 0
    second = pixels_of(tmp_path / "out" / "1.png")
    np.testing.assert_array_equal(second, pixels_of(tmp_path / "alone" / "1.png"))
    assert (first != second).any()
    assert "2 images" not in call(export, tmp_path / "a", *out).output  # 2.png was kept all along


def test_what_would_get_lost_or_mixed_is_refused(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 32)
    noise(tmp_path / "in" / "a.jpg", 32, 32)
    twins = call(export, tmp_path / "in", "--out", tmp_path / "out")
    assert twins.exit_code == 2
    assert "a.jpg, a.png would both become a.png" in twins.output
    noise(tmp_path / "one" / "a.png", 32, 32)
    assert (
        "the folder of the images"
        in call(export, tmp_path / "one", "--out", tmp_path / "one").output
    )
    assert "holds something else" in call(export, tmp_path / "one", "--out", tmp_path).output
    (tmp_path / "none").mkdir()
    assert "no images" in call(export, tmp_path / "none", "--out", tmp_path / "o").output
    assert "no export" in call(tmp_path / "none", tmp_path / "one", "--out", tmp_path / "o").output


def test_an_export_that_was_tampered_with_is_not_run(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 32)
    shutil.copytree(export, tmp_path / "export")
    path = tmp_path / "export" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    said = call(tmp_path / "export", tmp_path / "in", "--out", tmp_path / "o1").output
    assert "not what was exported" in said
    config = tmp_path / "export" / "config.json"
    told = json.loads((export / "config.json").read_text())
    shutil.copy(export / "model.safetensors", path)
    for change, message in [
        ({"network": "os:path"}, "an export brings no code"),
        ({"network": "unett"}, "network 'unett' is not one of distillbench's"),
        ({"width": 4}, "does not fit"),
        ({"files": {"../model.safetensors": "00"}}, "has no model.safetensors"),
        ({"surprise": 1}, "surprise"),
    ]:
        config.write_text(json.dumps(told | change))
        words = ("--out", tmp_path / "o2", "--engine", "torch")
        done = call(tmp_path / "export", tmp_path / "in", *words)
        assert done.exit_code == 2
        assert message in done.output, done.output


@pytest.mark.parametrize("name", ["mine", "mine:Mine"])
def test_a_file_of_the_user_that_an_export_names_is_not_run(
    name: str, made: tuple[Path, Cell, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, _, _ = made
    plugins = tmp_path / "plugins"
    noise(tmp_path / "in" / "a.png", 32, 32)
    plugins.mkdir()
    (plugins / "mine.py").write_text("raise SystemExit('it has run')")
    monkeypatch.setenv("DISTILLBENCH_PLUGINS", str(plugins))
    shutil.copytree(export, tmp_path / "export")
    told = json.loads((export / "config.json").read_text())
    (tmp_path / "export" / "config.json").write_text(json.dumps(told | {"network": name}))
    words = (tmp_path / "export", tmp_path / "in", "--out", tmp_path / "out", "--engine")
    done = call(*words, "torch")
    assert done.exit_code == 2
    assert "run its model.onnx, with --engine onnxruntime" in done.output


@pytest.mark.parametrize(
    ("engine", "absent"),
    [
        ("onnxruntime", {"torch", "mlflow", "pandas", "torchvision", "matplotlib"}),
        ("torch", {"mlflow", "pandas", "torchvision", "matplotlib"}),
    ],
)
def test_it_runs_without_training_libraries(
    engine: str, absent: set[str], made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 32)
    words = ["generate", str(export), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    code = (
        "import sys\nfrom bench.cli.main import main\n"
        f"main({[*words, '--engine', engine]!r}, standalone_mode=False)\n"
        "print(sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.png").is_file()
    assert [name for name in absent if f"'{name}'" in done.stdout] == []


def test_where_there_is_no_torch_onnxruntime_translates(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 32)
    words = ["generate", str(export), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    code = (
        "import sys\nfor name in ('torch', 'safetensors', 'mlflow', 'pandas'):\n"
        f"    sys.modules[name] = None\nfrom bench.cli.main import main\nmain({words!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.png").is_file()


def test_the_script_of_the_docs_makes_the_same_image(
    made: tuple[Path, Cell, Store], tmp_path: Path
) -> None:
    export, _, _ = made
    noise(tmp_path / "in" / "a.png", 32, 64)
    words = ("--out", tmp_path / "out", "--engine", "onnxruntime")
    assert call(export, tmp_path / "in", *words).exit_code == 0
    script = ROOT / "docs" / "examples" / "run_onnx.py"
    files = (export / "model.onnx", tmp_path / "in" / "a.png", tmp_path / "b.png")
    subprocess.run([sys.executable, script, *files], check=True)
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "b.png"), pixels_of(tmp_path / "out" / "a.png")
    )


def test_settings_are_read_as_they_are_written(made: tuple[Path, Cell, Store]) -> None:
    export, cell, _ = made
    settings: Settings = read(export)
    assert settings.key == cell.key
    assert set(settings.files) == {"model.safetensors", "model.onnx"}
