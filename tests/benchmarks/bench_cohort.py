"""A cohort against the same cells one by one, each with its own teacher pass.

The bits must be equal; the time saved is teacher passes, and is held against what the MACs say.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_plan, train_teachers, train_together, weights

from bench.evaluate.costs import count_network
from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan, cohorts
from bench.plan.suite import load
from bench.store.layout import Store

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 5

EIGHT = {
    "hinton": {},
    "hinton-1": {"method": "hinton", "weight": 1.0},
    "wkd": {},
    "wkd-2": {"method": "wkd", "levels": 2},
    "wkd-4": {"method": "wkd", "levels": 4},
    "wkd-mse": {"method": "wkd", "distance": "mse"},
    "wkd-low": {"method": "wkd", "bands": "low"},
    "wkd-both": {"method": "wkd", "bands": "both"},
}


def predicted(cells: list[Cell], plan: Plan) -> float:
    """Return the ratio of MACs: one teacher pass per batch against one per student and batch."""
    together = alone = 0.0
    teachers = {}
    for cell in cells:
        size, judge = cell.size, 0
        made, nets = macs_of(cell), cell.nets
        if nets.discriminator:
            judge = count_network(nets.discriminator.name, nets.discriminator_width, size, 6).macs
        step = 3 * made + 2 * 3 * judge + 2 * judge  # both turns, forward and backward
        together, alone = together + step, alone + step
        if cell.teacher:
            teacher = macs_of(plan.cells[cell.teacher])
            teachers[cell.teacher, cell.batches] = teacher
            alone += teacher
    return (together + sum(teachers.values())) / alone


def macs_of(cell: Cell) -> int:
    made = cell.nets.architecture
    return count_network(made.name, cell.nets.width, cell.size, 3, made.params).macs


def timed(cells: list[Cell], plan: Plan, store: Store) -> float:
    """Train cells together; return the seconds in the loop, without loading and building."""
    marks: list[float] = []
    train_together(cells, plan, store, stop=lambda: bool(marks.append(time.perf_counter())))
    return (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1)


def compare(plan: Plan, folder: Path, benchmark: Any, goal: float | None) -> None:
    students = [e.cell for e in plan.students if e.cell is not None]
    groups = cohorts(students)
    ratios = []

    def rounds() -> None:
        for number in range(ROUNDS):
            stores = [Store(folder / f"{kind}{number}") for kind in ("together", "alone")]
            for store in stores:
                link_teachers(plan, folder, store)
            together = sum(timed(group, plan, stores[0]) for group in groups)
            alone = sum(timed([cell], plan, stores[1]) for cell in students)
            ratios.append(together / alone)
            for cell in students:
                assert weights(stores[0], cell) == weights(stores[1], cell)

    train_teachers(plan, Store(folder / "teachers"))
    benchmark.pedantic(rounds, rounds=1)
    benchmark.extra_info |= {
        "students": len(students),
        "cohorts": len(groups),
        "ours_over_peer": {"together": round(statistics.median(ratios), 3)},
        "ratios": [round(ratio, 3) for ratio in ratios],
        "macs_predict": round(predicted(students, plan), 3),
    }
    print(f"\n{plan.suite.name}: {benchmark.extra_info}")
    if goal is not None:
        assert statistics.median(ratios) <= goal


def link_teachers(plan: Plan, folder: Path, store: Store) -> None:
    for key in {cell.teacher for cell in plan.cells.values()} - {""}:
        place = store.folder(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Store(folder / "teachers").folder(key), target_is_directory=True)


def bench_quick_suite(benchmark: Any, tmp_path: Path) -> None:
    """The quick suite's students, fewer steps."""
    overrides = ["budget.steps=40", "teacher.budget.steps=2"]
    compare(expand(load(ROOT / "suites" / "quick.yaml", overrides)), tmp_path, benchmark, None)


@pytest.mark.parametrize("discriminator_width", [64])
def bench_eight_students_at_128_px(
    benchmark: Any, tmp_path: Path, discriminator_width: int
) -> None:
    """Pix2Pix with ResNet-9: eight students of width 16, a teacher of width 64."""
    plan = tiny_plan(
        tmp_path,
        name="eight",
        methods=EIGHT,
        architectures=["resnet9"],
        widths=[16],
        discriminator_widths=[discriminator_width],
        size=128,
        teacher={"width": 64, "budget": {"steps": 1}},
        budget={"steps": 8, "batch": 1},
    )
    compare(plan, tmp_path, benchmark, goal=0.6)


def bench_four_methods_of_diffusion(benchmark: Any, tmp_path: Path) -> None:
    """Four distilled students of `diffusion_nightly`, width 8, by a teacher of width 32."""
    methods = (
        "methods={hinton_l2: {}, feature: {method: sd_native, levels: 3, frequency: 0.0}, "
        "frequency: {method: sd_native, levels: 3, spatial: 0.0}, "
        "sd: {method: sd_native, levels: 3}}"
    )
    lite = "architectures={lite: {architecture: ldm_unet, multiples: [1, 2, 2], blocks: 1, attention: [4]}}"
    budget = ["budget.steps=10", "budget.warmup=2", "teacher.budget.steps=2"]
    overrides = [methods, lite, "seeds=[0]", *budget]
    plan = expand(load(ROOT / "suites" / "diffusion_nightly.yaml", overrides))
    compare(plan, tmp_path, benchmark, goal=0.65)
