"""A campaign of faults: what its cases share.

Bounded and seeded: `tox -e faults`, or with another seed `FAULTS_SEED=7 tox -e faults`. Each case is
compared bit for bit with an undisturbed run, or has to end in one line.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Runs
from test_mirror import known
from test_other_tasks import Other

SEED = int(os.environ.get("FAULTS_SEED", "0"))

PAIRED: dict[str, Any] = {
    "methods": {
        "none": {}, "hinton": {}, "pca_kd": {}, "dml": {
            "method": "hinton", "teacher": {"mode": "peers"},
        },
    },
    "budget": {"steps": 60, "batch": 1}, "teacher": {"width": 4, "budget": {"steps": 40}},
    "select": {"best_on_val": "psnr", "times": 3}, "snapshots": {"times": 2, "metrics": ["psnr"]},
    "metrics": ["psnr", "swd", "macs"],
}  # fmt: skip
UNPAIRED: dict[str, Any] = {
    "datasets": ["grass2brick"], "architectures": ["resnet9"], "budget": {"steps": 24, "batch": 1},
    "methods": {"none": {}, "fesd": {"lambda_style": 0.0, "lambda_feature": 0.0}},
    "teacher": {"width": 3, "budget": {"steps": 12}}, "metrics": ["swd"],
}  # fmt: skip
PLACES = ("paired", "unpaired", "denoising", "recolouring")


def runs_of(place: str, folder: Path) -> Runs:
    if place in ("denoising", "recolouring"):
        return Other(folder, place)
    return Runs(folder, **(PAIRED if place == "paired" else UNPAIRED))


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to: its folder, its results, and its copy in MLflow."""

    runs: Runs
    results: dict[str, Any]
    copy: list[Any]


def undisturbed(place: str, folder: Path) -> Undisturbed:
    runs = runs_of(place, folder)
    done = runs("run", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return Undisturbed(runs, runs.results(), copied(database(runs)))


def database(runs: Runs) -> str:
    return f"sqlite:///{runs.folder}/runs/mlflow.db"


def copied(uri: str) -> list[Any]:
    """Return what MLflow holds, without times: of points their steps and values alone."""
    found = []
    for name, status, tags, params, history, files in known(uri):
        tags = {n: v for n, v in tags.items() if n != "distillbench.final"} | {
            "is whole": "distillbench.final" in tags or "distillbench.key" not in tags
        }
        points = {
            metric: sorted(((step, value) for value, step, _ in of), key=str)
            for metric, of in history.items()
        }
        for metric in points:  # the last snapshot and the result are two scores of one step
            if not metric.startswith("loss/"):
                points[metric] = sorted(set(points[metric]), key=str)
        found.append((name, status, tags, params, points, files))
    return found


def same_copies(found: list[Any], expected: list[Any]) -> None:
    """Say where two copies differ: whole they fill a screen."""
    assert [run[0] for run in found] == [run[0] for run in expected]
    fields = ("status", "tags", "parameters", "metrics", "files")
    for mine, theirs in zip(found, expected, strict=True):
        for field, one, other in zip(fields, mine[1:], theirs[1:], strict=True):
            assert one == other, f"{field} of {mine[0]}: {one} where {other} is right"


def one_line_each(text: str) -> None:
    """No traceback, and nothing that nobody foresaw."""
    assert "Traceback" not in text, text
    assert "unexpected:" not in text, text


def damaged(path: Path, chance: random.Random) -> str:
    """Damage a file in one of the ways in which disks, people and programs do."""
    data = bytearray(path.read_bytes())
    how = chance.choice(["bit", "cut", "zeros", "empty", "text", "list"])
    if how == "bit":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[chance.randrange(len(data)) :]
    elif how == "zeros":
        start = chance.randrange(len(data))
        data[start : start + 64] = bytes(len(data[start : start + 64]))
    else:
        data = bytearray({"empty": b"", "text": b"hello", "list": b"[5]"}[how])
    path.write_bytes(data)
    return how
