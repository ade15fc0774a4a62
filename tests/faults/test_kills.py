"""Random kills of the whole tree of processes, some of them in the making of MLflow's runs."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import (
    PLACES,
    SEED,
    Undisturbed,
    copied,
    damaged,
    database,
    one_line_each,
    runs_of,
    same_copies,
)
from harness import Runs

pytestmark = pytest.mark.faults
KILLS = 6  # of each configuration


def logged(runs: Runs) -> int:
    """Return how much MLflow's database has of runs, without being in anybody's way."""
    file = runs.folder / "runs" / "mlflow.db"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(
            sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=0.1)
        ) as database,
    ):
        tables = ("runs", "params", "tags", "metrics")
        return sum(database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables)
    return 0


@pytest.mark.parametrize("place", PLACES)
def test_random_kills_of_the_tree_change_no_bit(
    tmp_path: Path,
    whole: Callable[[str], Undisturbed],
    count: Callable[..., None],
    place: str,
) -> None:
    """Some wait for training, some for MLflow; some leave a damaged resume file.

    A run that ends before its kill is compared, and another begins.
    """
    chance = random.Random(f"{SEED} kills {place}")
    undisturbed, kills = whole(place), 0
    runs = runs_of(place, tmp_path / "0")

    def compare(runs: Runs) -> None:
        done = runs("run", "--jobs", "2")
        one_line_each(done.stderr)
        assert done.returncode == 0, done.stderr
        assert runs.results() == undisturbed.results
        same_copies(copied(database(runs)), undisturbed.copy)
        count("cells equal to an undisturbed run's, bit for bit", len(undisturbed.results))

    for run in range(1, 5 * KILLS):
        grown = logged if run % 2 else Runs.progress
        jobs = chance.choice(["1", "2"])
        process = runs.start("run", "--jobs", jobs, "--checkpoint-every", "0")
        seen, waits = grown(runs), chance.randrange(4)
        while grown(runs) <= seen + waits and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.3 if run % 2 else 0.05))
        if process.poll() is None:
            kills += 1
            os.killpg(process.pid, 9)
            count("kills waiting for " + ("MLflow's runs" if run % 2 else "training"))
        process.communicate()
        if process.returncode == 0:
            compare(runs)
            runs = runs_of(place, tmp_path / str(run))
        resumes = sorted((runs.folder / "runs" / "cells").glob("*/resume.safetensors"))
        if resumes and chance.random() < 0.3:
            damaged(chance.choice(resumes), chance)
            count("resume files damaged after a kill")
        if kills == KILLS:
            break
    else:
        pytest.fail(f"only {kills} of {5 * KILLS} runs lived until their kill")
    compare(runs)
