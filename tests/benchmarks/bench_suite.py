"""A whole suite on two cores against the official way: each student a process of its own.

The official repositories train one student per call of a script, and each call runs the teacher for
itself. So does the peer here: one `distillbench run` per student, two at a time, as many as the suite
has workers; the teacher is trained beforehand in both. A step of our loop takes what a step of
GAN Compression's trainer takes (0.97), so that what is compared is the way and not the code.

Three ratios: of wall times, which need two cores without other work; of the CPU time of all processes, in
which each start of one weighs as it does in so short a training; and of the loops alone, as in a long one.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny import student_cells, weights, write_suite

from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import load
from bench.store.layout import Store

ROUNDS = int(os.environ.get("DISTILLBENCH_ROUNDS", "3"))
STEPS = int(os.environ.get("DISTILLBENCH_STEPS", "12"))
WORKERS = 2
SIZE = 128  # pixels
METHODS = {
    "hinton": {},
    "at": {},
    "gan_compression": {},
    "wkd": {},
    "fesd-no-vgg": {"method": "fesd", "lambda_style": 0.0, "lambda_feature": 0.0},
    "pca_kd": {},
    "sd": {},
}


def bench_seven_methods_two_widths_two_seeds(benchmark: Any, tmp_path: Path) -> None:
    """28 students of Pix2Pix with ResNet-9 at 128 px, batch 1, a teacher of width 64."""
    suite = write_suite(
        tmp_path,
        name="seven",
        methods=METHODS,
        datasets={"pix2pix_folder": {"path": str(_pairs(tmp_path / "pairs"))}},
        architectures=["resnet9"],
        widths=[16, 24],
        discriminator_widths=[64],
        seeds=[0, 1],
        size=SIZE,
        teacher={"width": 64, "budget": {"steps": 2}},
        budget={"steps": STEPS, "batch": 1},
        metrics=["params"],
    )
    plan = expand(load(suite))
    teachers = tmp_path / "teachers"
    run_suite(
        suite, teachers, "--set", "methods={none: {}}", "--set", "budget.steps=1", "--jobs", "1"
    )
    rounds: list[dict[str, float]] = []

    def measure() -> None:
        for number in range(ROUNDS):
            stores = {way: tmp_path / f"{way}{number}" for way in ("suite", "official")}
            for store in stores.values():
                shutil.copytree(teachers, store)
            walls, cpus = {}, {}
            for way in ("suite", "official") if number % 2 == 0 else ("official", "suite"):
                started, used = time.perf_counter(), cpu_of_children()
                if way == "suite":
                    run_suite(suite, stores[way], "--jobs", str(WORKERS))
                else:
                    _one_by_one(suite, plan, stores[way])
                walls[way], cpus[way] = time.perf_counter() - started, cpu_of_children() - used
            loops = {way: _in_loops(plan, Store(store)) for way, store in stores.items()}
            measured = {"wall": walls, "cpu": cpus, "loops": loops}
            rounds.append({name: x["suite"] / x["official"] for name, x in measured.items()})
            print(f"\nround {number}: {measured} {rounds[-1]}")
            for cell in student_cells(plan):
                assert weights(Store(stores["suite"]), cell) == weights(
                    Store(stores["official"]), cell
                )

    benchmark.pedantic(measure, rounds=1)
    ratios = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    benchmark.extra_info |= {
        "students": len(student_cells(plan)),
        "ours_over_peer": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "ratios": [{name: round(x, 3) for name, x in r.items()} for r in rounds],
    }
    print(f"\n{benchmark.extra_info}")
    assert ratios["loops"] < 1  # the goal of half the time is not reached: docs/benchmarks.md


def _pairs(folder: Path) -> Path:
    """Write a few pairs, so that a look at all inputs weighs as little as in a long training."""
    for split, count in {"train": 16, "val": 2, "test": 4}.items():
        (folder / split).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 256, (SIZE, 2 * SIZE, 3), np.uint8)
            Image.fromarray(noise).save(folder / split / f"{i}.png")
    return folder


def run_suite(suite: Path, store: Path, *options: str) -> str:
    """Return what `distillbench run` says at its end."""
    command = [sys.executable, "-m", "bench", "run", str(suite), "--store", str(store)]
    command += ["--device", "cpu", "--mlflow", "none", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _one_by_one(suite: Path, plan: Plan, store: Path) -> None:
    """Train each student by a call of its own."""

    def call(only: Sequence[str]) -> None:
        run_suite(suite, store, "--jobs", "1", *(x for text in only for x in ("--only", text)))

    with ThreadPoolExecutor(WORKERS) as pool:
        chosen = [
            (f"method={e.method}", f"width={e.width}", f"seed={e.seed}") for e in plan.students
        ]
        list(pool.map(call, chosen))


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _in_loops(plan: Plan, store: Store) -> float:
    """Return the seconds that the students' training loops took, all together."""
    return sum(store.read(cell.key, "end.json")["seconds"] for cell in student_cells(plan))
