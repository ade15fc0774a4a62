"""How `plan`, `status`, a cached `run` and `report` grow with the cells of a suite that has ended.

Suites of 10, 97 and 1,026 cells with made-up scores, loss logs of 400 records and small samples;
each command in a process of its own, its CPU time the least of some rounds. With the start-up as a
constant, T = a + b n^p, three sizes give the exponent p.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_report import drawn, of_network, photographs
from tiny import tiny_plan, write_suite

from bench.plan.scores import image_scores, network_id
from bench.plugins.source import ROOT
from bench.store.layout import Store, write_json

TAUGHT = ("hinton", "at", "gan_compression", "wkd", "cat", "vid", "srkd")
SIZES: list[dict[str, Any]] = [
    {"methods": ("none", *TAUGHT[:2]), "seeds": 3, "widths": 1, "datasets": 1},
    {"methods": ("none", *TAUGHT[:3]), "seeds": 8, "widths": 3, "datasets": 1},
    {"methods": ("none", *TAUGHT), "seeds": 8, "widths": 8, "datasets": 2},
]
COMMANDS = {
    "plan": [],
    "status": [],
    "run": ["--jobs", "1", "--mlflow", "none"],
    "report": ["--mlflow", "none"],
}
RECORDS, GOAL = 400, 1.1
ROUNDS, OTHERS = {"report": 2}, 8  # a report takes a minute; of others a hundredth decides
TRIES = 3  # of as many rounds, where times do not grow


def made_up(folder: Path, size: dict[str, Any]) -> tuple[Path, int]:
    """Write a suite, and a store in which all of it has ended; return its file, and its cells."""
    folder.mkdir()
    keys = {
        "datasets": ["photo_edges", "photo_textures"][: size["datasets"]],
        "methods": {name: {} for name in size["methods"]},
        "widths": list(range(2, 2 + size["widths"])),
        "teacher": {"width": 16},
        "seeds": list(range(size["seeds"])),
        "budget": {"steps": 400, "batch": 1},
        "metrics": ["psnr", "ssim", "swd", "params", "macs"],
    }
    plan, store, random = (
        tiny_plan(folder, **keys),
        Store(folder / "runs"),
        np.random.default_rng(0),
    )
    samples = {
        c.dataset.name: photographs(c)
        for c in {c.dataset.name: c for c in plan.cells.values()}.values()
    }
    environment = {"environment": {"device": "a made-up one"}, "provenance": ""}
    for key, cell in plan.cells.items():
        taught_by = {"taught_by": {cell.teacher: "0" * 16}} if cell.teacher else {}
        ended = {"status": "done", "seconds": 1.0, "weights": "0" * 16, **environment}
        store.write(key, "spec.json", cell.spec(environment) | taught_by)
        store.write(key, "end.json", ended)
        store.write(key, "scores.json", drawn(image_scores(cell, plan.metrics), random))
        write_json(store.network(network_id(cell)), drawn(of_network(cell, plan), random))
        losses = dict.fromkeys(("gan", "l1", "discriminator", "hinton"), 1.0)
        lines = [
            json.dumps({"step": n, "seconds": n * 0.1, "time": 0.0, "losses": losses})
            for n in range(1, RECORDS + 1)
        ]
        (store.folder(key) / "losses.jsonl").write_text("\n".join(lines) + "\n")
        (store.folder(key) / "samples").mkdir()
        for name, picture in samples[cell.dataset.name].items():
            (store.folder(key) / "samples" / name).write_bytes(picture)
    return write_suite(folder, **keys), len(plan.cells)


def cpu_of(command: str, suite: Path) -> float:
    """Return the CPU time of a command in a process of its own, in s."""
    words = [sys.executable, "-m", "bench", command, str(suite), *COMMANDS[command]]
    words += ["--store", str(suite.parent / "runs")]
    words += ["--out", str(suite.parent / "report")] if command == "report" else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        words,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert command != "run" or " 0 trained, " in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def exponent(sizes: list[int], times: list[float]) -> float:
    """Return p of T = a + b n^p through three points; nan, which meets no goal, where T shrinks."""
    (small, middle, large), (t0, t1, t2) = sizes, times
    if t1 <= t0 or t2 <= t1:
        return float("nan")
    low, high = 0.01, 4.0
    for _ in range(60):
        p = (low + high) / 2
        is_less = (large**p - small**p) / (middle**p - small**p) < (t2 - t0) / (t1 - t0)
        low, high = (p, high) if is_less else (low, p)
    return low


def test_the_exponent_is_that_of_a_power_with_a_constant() -> None:
    for p in (0.5, 1.0, 1.5, 2.0):
        times = [2.0 + 0.01 * n**p for n in (10, 97, 1026)]
        assert exponent([10, 97, 1026], times) == pytest.approx(p)
    for noise in ([1.0, 1.0, 2.0], [1.0, 2.0, 1.9]):
        assert not exponent([10, 97, 1026], noise) <= GOAL


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, int]]:
    folder = tmp_path_factory.mktemp("growth")
    return [made_up(folder / str(n), size) for n, size in enumerate(SIZES)]


@pytest.mark.parametrize("command", COMMANDS)
def bench_growth(benchmark: Any, suites: list[tuple[Path, int]], command: str) -> None:
    sizes, times = [count for _, count in suites], [float("inf")] * len(suites)
    for _ in range(TRIES):
        times = [
            min(least, *(cpu_of(command, suite) for _ in range(ROUNDS.get(command, OTHERS))))
            for least, (suite, _) in zip(times, suites, strict=True)
        ]
        if not math.isnan(exponent(sizes, times)):
            break
    benchmark.pedantic(cpu_of, args=(command, suites[0][0]), rounds=1)
    said = ", ".join(f"{n} cells {t:.2f} s" for n, t in zip(sizes, times, strict=True))
    found = exponent(sizes, times)
    print(f"\n{command}: {said} of CPU; exponent {found:.2f}")
    assert found <= GOAL
