"""A suite that tunes, through the command line: killed among its trials, and what it says."""

from __future__ import annotations

import json
import time
from pathlib import Path

from harness import LONG, Runs

SUITE = LONG | {
    "methods": {"hinton": {}},
    "tune": {"trials": 2, "by": "psnr", "seeds": [7]},
}


def test_a_run_killed_among_its_trials_goes_on_to_the_same_choice_and_bits(tmp_path: Path) -> None:
    whole, killed = Runs(tmp_path / "whole", **SUITE), Runs(tmp_path / "killed", **SUITE)
    done = whole("run", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tiny: 4 trained, 0 cached; 2 done\n"
    assert "chosen    photo_edges unet hinton width 2: weight=10\n" in done.stderr
    process = killed.start("run", "--jobs", "1", "--mlflow", "none", "--checkpoint-every", "0.1")
    deadline = time.monotonic() + 1200
    cells = killed.folder / "runs" / "cells"
    while not any(c != _teacher(whole) for c in _resumable(cells)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    specs = [json.loads(p.read_text())["cell"] for p in cells.glob("*/spec.json")]
    assert {s["seed"] for s in specs} == {0, 7}  # the teacher's and the trials': no student began
    assert killed("run", "--jobs", "2", "--mlflow", "none").returncode == 0
    assert killed.results() == whole.results()
    assert len(whole.results()) == 4
    # what a person is told
    listed = whole("plan").stdout
    assert "photo_edges unet hinton (weight=10) width 2 seed 7" in listed
    assert "4 cells, 2 of them trials, 0 to train" in listed
    assert whole("report", "--out", str(tmp_path / "here")).returncode == 0
    table = (tmp_path / "here" / "tables" / "tuning.csv").read_text()
    assert table.splitlines()[0] == "Data,Width,Method,× 0.1,× 1,Chosen"
    assert table.splitlines()[1].endswith(",weight=10")
    results = (tmp_path / "here" / "tables" / "results.md").read_text()
    assert "Tuned" in results
    # and the trials lie in MLflow, from which the same tables come
    server = f"mlflow:sqlite:///{(whole.folder / 'runs').resolve()}/mlflow.db"
    away = (
        "--from",
        server,
        "--store",
        str(tmp_path / "nowhere"),
        "--out",
        str(tmp_path / "there"),
    )
    found = whole("report", *away)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "there" / "tables" / "tuning.csv").read_text() == table


def _teacher(runs: Runs) -> str:
    specs = (runs.folder / "runs" / "cells").glob("*/spec.json")
    found = [json.loads(path.read_text()) for path in specs]
    (key,) = (
        spec["key"]
        for spec in found
        if not spec["cell"]["teacher"] and spec["cell"]["budget"]["steps"] == 60
    )
    return str(key)


def _resumable(cells: Path) -> list[str]:
    """Return the cells that have a checkpoint to go on from."""
    return [path.parent.name for path in cells.glob("*/resume*")]
