"""A diffusion run is killed again and again, in training and while it makes samples."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from campaign import SEED, one_line_each
from harness import Runs
from test_diffusion_task import DIFFUSION
from test_other_tasks import drop_judges

pytestmark = pytest.mark.faults

LONGER: dict[str, Any] = {
    "methods": {"none": {}, "sd": {"method": "sd_native", "levels": 2}},
    "budget": {"steps": 40, "batch": 4, "lr": 2e-3},
    "outputs": {"samples": 24, "batch": 2, "steps": 10, "eta": 1.0},
    "metrics": ["swd", "spectrum"],
}


def runs_in(folder: Path) -> Runs:
    runs = Runs(folder, **DIFFUSION | LONGER)
    drop_judges(runs.suite)
    return runs


def batches(runs: Runs) -> int:
    """Return how many batches of samples are there."""
    return len(list((runs.folder / "runs" / "cells").glob("*/made/*/*.safetensors")))


def samples(runs: Runs) -> dict[str, bytes]:
    found = (runs.folder / "runs" / "cells").glob("*/samples/*.png")
    return {str(p.relative_to(runs.folder)): p.read_bytes() for p in found}


def test_random_kills_in_training_and_sampling_change_no_bit(tmp_path: Path, count: Any) -> None:
    chance = random.Random(f"{SEED} samples")
    whole, runs = runs_in(tmp_path / "whole"), runs_in(tmp_path / "killed")
    assert whole("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    kills = {"training": 0, "sampling": 0}
    for turn in range(30):
        where = "sampling" if turn % 2 else "training"
        seen = batches if where == "sampling" else Runs.progress
        process = runs.start(
            "run", "--jobs", chance.choice("12"), "--mlflow", "none", "--checkpoint-every", "0"
        )
        before, waits = seen(runs), chance.randrange(4)
        while seen(runs) <= before + waits and process.poll() is None:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, 9)
            kills[where] += 1
            count(f"kills while {where}")
        process.communicate()
        if process.returncode == 0:
            break
    assert min(kills.values()) > 0, kills
    done = runs("run", "--jobs", "2", "--mlflow", "none")
    one_line_each(done.stderr)
    assert done.returncode == 0, done.stderr
    assert runs.results() == whole.results()
    assert samples(runs) == samples(whole)
    assert batches(runs) == batches(whole) == 12 * len(whole.results())
