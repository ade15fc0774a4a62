"""Whole runs through the command line: workers, signals, failures, resuming, caching."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import LONG, TESTS, Runs
from PIL import Image


def test_one_job_or_two_give_the_same_bits_and_the_second_run_trains_nothing(
    tmp_path: Path,
) -> None:
    seeds = {"seeds": [0, 1]}
    one, two = Runs(tmp_path / "one", **seeds), Runs(tmp_path / "two", **seeds)
    done = one("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tiny: 7 trained, 0 cached; 7 done\n"
    assert two("run", "--jobs", "2", "--mlflow", "none").returncode == 0
    assert one.results() == two.results()
    assert len(one.results()) == 7
    before = {p: p.stat().st_mtime_ns for p in (one.folder / "runs").rglob("*")}
    again = one("run", "--mlflow", "none")
    assert again.stdout == "tiny: 0 trained, 7 cached; 7 done\n"
    assert {p: p.stat().st_mtime_ns for p in (one.folder / "runs").rglob("*")} == before


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the long suite gives when nothing happens to it."""
    runs = Runs(tmp_path_factory.mktemp("whole"), **LONG)
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    results = runs.results()
    assert len(results) == 4
    return results


def test_a_run_killed_three_times_ends_with_the_same_weights_and_scores(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    killed = Runs(tmp_path / "killed", **LONG)
    chance = random.Random(os.environ.get("PYTEST_SEED"))
    for kill in range(3):
        process = killed.start(
            "run", "--jobs", "2", "--mlflow", "none", "--checkpoint-every", "0.2"
        )
        seen = killed.progress()
        deadline = time.monotonic() + 1200
        while killed.progress() <= seen + kill and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(chance.random())
        process.kill()
        process.communicate()
    done = killed("run", "--jobs", "2", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    assert killed.results() == undisturbed


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGTERM, "1"), (signal.SIGINT, "2")])
def test_a_signal_leaves_a_run_that_the_same_command_ends(
    tmp_path: Path, undisturbed: dict[str, Any], number: signal.Signals, jobs: str
) -> None:
    """SIGINT goes to the whole process group, as Ctrl-C in a terminal does."""
    runs = Runs(tmp_path / "runs", **LONG)
    process = runs.start("run", "--jobs", jobs, "--mlflow", "none")
    deadline = time.monotonic() + 1200
    while runs.progress() < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "stopping: writing checkpoints" in output
    assert "the same command goes on" in output
    assert list((runs.folder / "runs" / "cells").glob("*/resume.safetensors"))
    assert runs("run", "--mlflow", "none").returncode == 0
    assert runs.results() == undisturbed


def test_a_cell_that_fails_stops_no_other_and_the_exit_code_says_so(tmp_path: Path) -> None:
    methods = {"none": {}, "bug": {"method": "own_methods:Raises"}, "wkd": {}}
    runs = Runs(tmp_path / "runs", methods=methods)
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 1
    assert "3 done, 1 failed" in done.stdout
    assert "failed  photo_edges unet bug width 2 seed 0: RuntimeError: a bug of mine" in done.stderr
    status = runs("status")
    assert status.returncode == 1
    assert "failed    photo_edges unet bug" in status.stdout


def test_a_worker_that_dies_costs_its_own_cells_only(tmp_path: Path) -> None:
    methods = {"none": {}, "dies": {"method": "own_methods:Dies"}}
    runs = Runs(tmp_path / "runs", methods=methods, datasets=["photo_edges", "grass2brick"])
    done = runs("run", "--jobs", "2", "--mlflow", "none")
    assert done.returncode == 1
    reason = "width 2 seed 0: its worker died (SIGKILL; was memory short?)"
    assert f"failed  photo_edges unet dies {reason}" in done.stderr
    assert "trained   photo_edges unet teacher" in done.stderr
    assert "trained   grass2brick unet none" in done.stderr  # it sees other batches
    assert "1 skipped" in done.stdout


def test_students_of_a_failed_teacher_are_skipped_with_the_reason(tmp_path: Path) -> None:
    bad = {"method": "own_methods:Raises", "teacher": {"mode": "assistant", "assistant_width": 3}}
    runs = Runs(tmp_path / "runs", methods={"none": {}, "bad": bad})
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 1
    status = runs("status").stdout
    assert "skipped   photo_edges unet bad width 2 seed 0  its teacher" in status
    assert "failed (RuntimeError: a bug of mine" in status


def test_a_metric_that_fails_is_said_and_only_evaluated_again(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", metrics=["psnr", "own_methods:Broken"], methods=["none"])
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 1
    assert "own_methods:Broken failed: ZeroDivisionError: not mended" in done.stderr
    (before,) = runs.results().values()
    assert set(before[1]) == {"psnr"}
    mended = runs("run", "--jobs", "1", "--mlflow", "none", MENDED="1")
    assert mended.returncode == 0
    assert mended.stdout.startswith("tiny: 0 trained")
    (after,) = runs.results().values()
    assert set(after[1]) == {"psnr", "own_methods:Broken"}
    assert after[0] == before[0]


def test_two_runs_at_once_train_each_cell_once(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    runs = Runs(tmp_path / "runs", **LONG)
    processes = [runs.start("run", "--jobs", "1", "--mlflow", "none") for _ in range(2)]
    outputs = [p.communicate(timeout=2000)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    trained = [int(o.split("tiny: ")[1].split()[0]) for o in outputs]
    assert sum(trained) == 4
    assert runs.results() == undisturbed


def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", methods={"wkd": {"levels": 9}})
    done = runs("run", "--mlflow", "none")
    assert done.returncode == 2
    assert done.stderr.endswith("distillbench: wkd: 9 levels of 32 px images.\n")
    assert not (runs.folder / "runs" / "cells").exists()
    small = Runs(tmp_path / "small", architectures=["resnet9"], size=16)
    done = small("run", "--mlflow", "none")
    assert done.returncode == 2
    assert "patchgan cannot be built for images of 16 px" in done.stderr


def test_a_damaged_image_is_found_before_training_and_named(tmp_path: Path) -> None:
    folder = {"pairs": {"dataset": "pix2pix_folder", "path": "pairs"}}
    for split in ("train", "test"):
        (tmp_path / "runs" / "pairs" / split).mkdir(parents=True)
        for index in range(2):
            image = np.random.default_rng(index).integers(0, 255, (40, 80, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "runs" / "pairs" / split / f"{index}.jpg")
    damaged = tmp_path / "runs" / "pairs" / "test" / "1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:900])
    runs = Runs(tmp_path / "runs", datasets=folder)
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 2
    assert "1.jpg: cannot be decoded" in done.stderr
    damaged.unlink()
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0


def test_a_method_outside_the_repository_runs_and_is_in_the_table(tmp_path: Path) -> None:
    """From a module beside the suite, with nothing on PYTHONPATH."""
    methods = {"none": {}, "mine": {"method": "my_module:MyDistiller"}}
    runs = Runs(tmp_path / "runs", methods=methods)
    source = (TESTS / "own_methods.py").read_text().replace("class Gentle", "class MyDistiller")
    source = source.split("class Raises")[0]
    (tmp_path / "runs" / "my_module.py").write_text(source)
    done = runs("run", "--jobs", "2", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    report = runs("report", "--out", str(tmp_path / "report"))
    assert report.returncode == 0, report.stderr
    assert "| mine |" in (tmp_path / "report" / "tables" / "results.md").read_text()


def test_verify_repeats_the_first_steps_bit_for_bit(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs")
    assert runs("run", "--mlflow", "none").returncode == 0
    done = runs("verify", "--only", "method=wkd")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same bits after") == 2  # the student and its teacher
    (cell,) = [
        k
        for k in runs.results()
        if "wkd" in (runs.folder / "runs" / "cells" / k / "spec.json").read_text()
        and "hinton" not in k
    ]
    end = runs.folder / "runs" / "cells" / cell / "end.json"
    told = json.loads(end.read_text())
    end.write_text(json.dumps(told | {"digest": "0" * 16}))
    done = runs("verify", "--only", "method=wkd")
    assert done.returncode == 1
    assert f"{cell}  DIFFERS after 4 steps" in done.stdout


def test_plan_says_what_is_cached_what_is_stale_and_what_is_left(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs")
    before = runs("plan")
    assert (
        "\n4 cells, 4 to train; how long that takes is not known: nothing of the kind was timed here "
        "yet\nnote: 1 seed can never be significant for 2 methods: 7 would be"
    ) in before.stdout
    assert runs("run", "--mlflow", "none").returncode == 0
    assert "4 cells, 0 to train" in runs("plan").stdout
    stale = runs("plan", "--set", "methods.wkd.levels=2", "--json")
    cells = {c["cell"]: c for c in json.loads(stale.stdout)["cells"]}
    assert cells["photo_edges unet none width 2 seed 0"]["status"] == "done"
    wkd = cells["photo_edges unet wkd width 2 seed 0"]
    assert wkd["status"] == "missing"
    assert wkd["note"] == "methods[0].params.levels 3 -> 2"
    assert json.loads(stale.stdout)["seconds_left"] > 0


def test_a_measurement_that_fails_is_said_and_the_exit_code_is_1(tmp_path: Path) -> None:
    runs = Runs(tmp_path, methods=["none"], metrics={"latency": {"runs": 0}, "psnr": {}})
    for jobs in ("1", "2"):
        done = runs("run", "--jobs", jobs, "--mlflow", "none")
        assert done.returncode == 1
        assert "latency failed: " in done.stderr
        assert "Traceback" not in done.stderr


def test_measure_measures_again(tmp_path: Path) -> None:
    runs = Runs(tmp_path, methods=["none"], metrics={"latency": {"runs": 5, "warmup": 1}})
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    (path,) = (tmp_path / "runs" / "networks").glob("*.json")
    before = path.read_text()
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    assert path.read_text() == before
    assert runs("run", "--jobs", "1", "--mlflow", "none", "--measure").returncode == 0
    assert path.read_text() != before


def test_a_damaged_teacher_fails_its_students_with_the_reason(tmp_path: Path) -> None:
    runs = Runs(tmp_path, methods=["none", "wkd"])
    assert runs("run", "--only", "method=none", "--mlflow", "none").returncode == 0
    assert runs("run", "--mlflow", "none").returncode == 0
    teacher = json.loads(runs("plan", "--json").stdout)["cells"][0]["key"]
    (tmp_path / "runs" / "cells" / teacher / "checkpoint.safetensors").write_bytes(b"garbage")
    longer = ("--set", "budget.steps=6")
    done = runs("run", "--mlflow", "none", *longer)
    assert done.returncode == 1
    status = runs("status", *longer)
    assert status.returncode == 1
    assert "checkpoint.safetensors: cannot be read" in status.stdout
    assert "trains cell" in status.stdout
