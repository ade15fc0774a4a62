"""Shards through the command line: what each says, and that a suite that tunes takes two rounds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tiny import write_suite

from bench.cli.main import main
from bench.store.layout import Store


def call(*words: object) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def shard(suite: Path, number: int, store: Path) -> Any:
    quiet = ("--jobs", 1, "--mlflow", "none")
    return call("run", suite, "--shard", f"{number}/2", "--store", store, *quiet)


def weights(store: Path) -> dict[str, bytes]:
    found = (store / "cells").glob("*/checkpoint.safetensors")
    return {path.parent.name: path.read_bytes() for path in found}


def test_a_shard_counts_its_own_places_and_says_what_comes_next(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, seeds=[0, 1], methods={"none": {}, "hinton": {}})
    for number in (1, 2):
        done = shard(suite, number, tmp_path / f"runs{number}")
        assert done.exit_code == 0, done.output
        assert done.stdout == f"tiny, shard {number}/2: 3 trained, 0 cached; 3 done\n"
        said = "Now, with the stores of all shards: distillbench merge STORE... --into STORE\n"
        assert done.stderr.endswith(said)
    stands = call("status", suite, "--shard", "1/2", "--store", tmp_path / "runs1")
    assert (stands.exit_code, stands.stdout.splitlines()[-1]) == (0, "3 done")
    # one store for both: what one trained, the other does not
    done = shard(suite, 2, tmp_path / "runs1")
    assert done.stdout == "tiny, shard 2/2: 2 trained, 1 cached; 3 done\n"
    whole = call("status", suite, "--store", tmp_path / "runs1")
    assert whole.stdout.splitlines()[-1] == "5 done"


def test_a_part_without_cells_is_no_error(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, methods={"none": {}})
    one, two = (shard(suite, number, tmp_path / "runs") for number in (1, 2))
    assert (one.exit_code, two.exit_code) == (0, 0)
    assert two.stdout == "tiny, shard 2/2: 0 trained, 0 cached; no cell is in it\n"


def test_a_suite_that_tunes_takes_two_rounds_to_what_one_run_gives(tmp_path: Path) -> None:
    tune = {"trials": 2, "by": "psnr", "seeds": [7, 8]}
    suite = write_suite(tmp_path, methods={"none": {}, "hinton": {}}, tune=tune, seeds=[0, 1])
    stores, into = [tmp_path / "runs1", tmp_path / "runs2"], tmp_path / "runs"
    waiting = []
    for number, store in enumerate(stores, 1):
        done = shard(suite, number, store)
        assert done.exit_code == 1
        waiting.append("places await trials of other shards" in done.stderr)
    assert all(waiting)
    assert call("merge", *stores, "--into", into).exit_code == 0
    # who trains which student is not known before all trials are: a teacher and four trials
    assert len(weights(into)) == 5
    for number, store in enumerate(stores, 1):
        shutil.rmtree(store)
        shutil.copytree(into, store)
        done = shard(suite, number, store)
        assert done.exit_code == 0, done.output
    assert call("merge", *stores, "--into", into).exit_code == 0
    one = tmp_path / "one"
    assert call("run", suite, "--store", one, "--jobs", 1, "--mlflow", "none").exit_code == 0
    assert weights(into) == weights(one)
    assert len(weights(one)) == 9  # a teacher, four trials, four students
    assert {Store(into).state(key).status for key in weights(one)} == {"done"}
