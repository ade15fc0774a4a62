"""`batches: shared` against `own`: two methods at eight seeds, one pass of the teacher or eight.

CPU time of the loop, in turns, so that a busy machine moves both. Costs of a start-up are left out,
and the three steps of a run that measure gradients, which would be many of so few: they are the
same. At the seed of the shared order both kinds end with the same bits.

And a whole suite, as somebody runs it: from the command's start until the last score. Its wall time
needs two cores without other work.
"""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from bench_cohort import link_teachers, predicted
from bench_suite import cpu_of_children, run_suite
from tiny import student_cells, tiny_plan, train_teachers, train_together

from bench.plan.cell import ORDER
from bench.plan.expand import expand
from bench.plan.matrix import Plan, cohorts
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.store.layout import Store
from bench.train import checkpoint, loop

ROUNDS = 3
KINDS = ("own", "shared")
SUITE: dict[str, Any] = {"methods": ["hinton", "wkd"], "seeds": list(range(8))}
SUITES: dict[str, dict[str, Any]] = {
    "quick": {
        "architectures": ["unet"],
        "widths": [8],
        "discriminator_widths": [16],
        "size": 64,
        "teacher": {"width": 32, "budget": {"steps": 1}},
        "budget": {"steps": 12, "batch": 4},
    },
    "resnet9": {
        "architectures": ["resnet9"],
        "widths": [16],
        "discriminator_widths": [64],
        "size": 64,
        "teacher": {"width": 64, "budget": {"steps": 1}},
        "budget": {"steps": 6, "batch": 1},
    },
}


def timed(plan: Plan, store: Store) -> float:
    """Train the students of a plan, cohort after cohort; return the loop's CPU seconds."""
    total = 0.0
    for cells in cohorts(student_cells(plan)):
        marks: list[float] = []
        train_together(cells, plan, store, stop=lambda at=marks: bool(at.append(_cpu())))
        total += (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1)
    return total


def _cpu() -> float:
    return time.process_time()


def bits_at_the_order(plan: Plan, store: Store) -> list[str]:
    cells = [cell for cell in student_cells(plan) if cell.seed == ORDER]
    return [checkpoint.digest(checkpoint.load(store.checkpoint(c.key))[0]) for c in cells]


@pytest.mark.parametrize("name", SUITES)
def bench_two_methods_at_eight_seeds(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(loop, "PULLS", 0)
    plans = {k: tiny_plan(tmp_path, **SUITE, **SUITES[name], batches=k) for k in KINDS}
    ratios = []
    train_teachers(plans["own"], Store(tmp_path / "teachers"))

    def rounds() -> None:
        for number in range(ROUNDS):
            took, bits = {}, []
            for kind in KINDS if number % 2 else reversed(KINDS):
                store = Store(tmp_path / f"{kind}{number}")
                link_teachers(plans[kind], tmp_path, store)
                took[kind] = timed(plans[kind], store)
                bits.append(bits_at_the_order(plans[kind], store))
            assert bits[0] == bits[1]
            ratios.append(took["shared"] / took["own"])
            print(f"\n{name}, round {number + 1}: {took}")

    benchmark.pedantic(rounds, rounds=1)
    one, eight = (predicted(student_cells(plans[k]), plans[k]) for k in ("shared", "own"))
    benchmark.extra_info |= {
        "ours_over_peer": {"shared over own": round(statistics.median(ratios), 3)},
        "ratios": [round(ratio, 3) for ratio in ratios],
        "macs_predict": round(one / eight, 3),
    }
    print(f"\n{name}: {benchmark.extra_info}")
    assert statistics.median(ratios) < 1


def bench_whole_suite(benchmark: Any, tmp_path: Path) -> None:
    """`suites/quick.yaml` on one of its data sets: all 16 students, two workers, teachers there."""
    suite = ROOT / "suites" / "quick.yaml"
    sets = ["datasets=[photo_edges]", "methods={hinton: {}, wkd: {}}", "seeds=[0,1,2,3,4,5,6,7]"]
    of_kind = {kind: [*sets, f"batches={kind}"] for kind in KINDS}
    plans = {kind: expand(load(suite, changes)) for kind, changes in of_kind.items()}
    teachers = tmp_path / "teachers"
    others = [sets[0], "methods={none: {}}", "seeds=[0]", "budget.steps=1"]
    run_suite(suite, teachers, "--allow-missing", *_set(others))
    rounds: list[dict[str, float]] = []

    def measure() -> None:
        for number in range(ROUNDS):
            walls, cpus, bits = {}, {}, []
            for kind in KINDS if number % 2 else reversed(KINDS):
                store = tmp_path / f"{kind}{number}"
                shutil.copytree(teachers, store)
                started, used = time.perf_counter(), cpu_of_children()
                said = run_suite(
                    suite, store, "--allow-missing", "--jobs", "2", *_set(of_kind[kind])
                )
                assert "16 trained" in said
                walls[kind] = time.perf_counter() - started
                cpus[kind] = cpu_of_children() - used
                bits.append(bits_at_the_order(plans[kind], Store(store)))
            assert bits[0] == bits[1]
            measured = {"wall": walls, "cpu": cpus}
            rounds.append({name: x["shared"] / x["own"] for name, x in measured.items()})
            print(f"\nround {number + 1}: {measured} {rounds[-1]}")

    benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info |= {
        "ours_over_peer": {n: round(statistics.median(r[n] for r in rounds), 3) for n in rounds[0]},
        "ratios": [{name: round(x, 3) for name, x in r.items()} for r in rounds],
    }
    print(f"\n{benchmark.extra_info}")
    assert benchmark.extra_info["ours_over_peer"]["cpu"] < 1


def _set(changes: list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]
