"""Damage in every kind of file that a store holds."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import SEED, Undisturbed, damaged, one_line_each, runs_of

pytestmark = pytest.mark.faults
CASES = 3  # of each kind
TENSORS = ".safetensors"

KINDS = [
    "cells/*/checkpoint.safetensors", "cells/*/end.json", "cells/*/scores.json",
    "cells/*/spec.json", "cells/*/losses.jsonl", "cells/*/snapshots/*.safetensors",
    "cells/*/samples/*.png", "cells/*/images.npz", "networks/*.json", "reals/*.safetensors", "provenance/*.json",
]  # fmt: skip


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_store_is_one_line_and_is_mended(
    tmp_path: Path,
    whole: Callable[[str], Undisturbed],
    count: Callable[..., None],
    kind: str,
    case: int,
) -> None:
    """After at most three runs, and after the deletions that lines ask for, all is as it was."""
    chance = random.Random(f"{SEED} damage {kind} {case}")
    before = whole("paired")
    runs = runs_of("paired", tmp_path / "damaged")
    store = runs.folder / "runs"
    shutil.copytree(before.runs.folder / "runs", store)
    how = damaged(path := chance.choice(sorted(store.glob(kind))), chance)
    count(f"files damaged: {kind}")
    verbs = [["status"], ["plan"], ["report", "--mlflow", "none", "--out", str(tmp_path / "r")]]
    for verb in [*verbs, ["verify"]] if kind.endswith(TENSORS) else verbs:
        said = runs(*verb)
        one_line_each(said.stderr + said.stdout)
        assert said.returncode in (0, 1, 2), (how, path)
    for _ in range(3):
        done = runs("run", "--jobs", "1", "--mlflow", "none", "--set", "metrics.ssim={}")
        one_line_each(done.stderr)
        if done.returncode == 0:
            break
        for name in re.findall(r"(/\S+?\.json): ", done.stderr):
            Path(name).unlink(missing_ok=True)  # as the line says
    assert done.returncode == 0, (how, path, done.stderr)
    found = runs.results()
    for key, (weights, scores, _) in before.results.items():
        assert found[key][0] == weights, (how, path)
        if not kind.endswith("scores.json"):  # one digit for another, which nobody can see
            mine = {m: v for m, v in found[key][1].items() if m in scores}
            assert mine == scores, (how, path)
