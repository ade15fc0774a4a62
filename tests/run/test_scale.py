"""Runs of hundreds of cells on dozens of workers, in simulated time: all done, soon, few questions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.plan.matrix import Plan
from bench.run import walk
from bench.store.layout import State

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from simulate_scale import SUITE, Memory, Workers, call, least_s, planned


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Four data sets, each with a teacher, eight methods and three widths."""
    return planned(SUITE, 300)


def test_students_begin_once_their_teacher_has_ended(plan: Plan, tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    workers = Workers(Memory(tmp_path), 32)
    outcome = walk.run(plan, workers.store, workers, lambda e, key, _: heard.append((e, key)))
    assert outcome.trained == len(plan.cells)
    ended = {key: number for number, (event, key) in enumerate(heard) if event == "ended"}
    begun = {key: number for number, (event, key) in reversed([*enumerate(heard)])}
    assert ended.keys() == plan.cells.keys()
    for cell in plan.cells.values():
        assert all(ended[key] < begun[cell.key] for key in cell.needs)


@pytest.mark.parametrize("count", [32, 64])
def test_no_cohort_is_left_to_one_worker_at_the_end(plan: Plan, tmp_path: Path, count: int) -> None:
    """Else the last cohorts of 24 make it 2.0 and 4.3 times what even shares would take."""
    found = call(plan, Workers(Memory(tmp_path), count))
    assert found.makespan_s < 1.8 * least_s(plan.cells.values(), count)


def test_what_dies_is_done_by_later_calls(plan: Plan, tmp_path: Path) -> None:
    workers = Workers(Memory(tmp_path), 32, failures=0.2)
    first = call(plan, workers)
    states = Counter(workers.store.state(key) for key in plan.cells)
    assert 0 < states[State("failed", "its worker died")] < len(plan.cells) / 2
    assert states[State("done")] == first.trained
    trained = first.trained
    while found := call(plan, workers):
        trained += found.trained
        if not found.jobs:
            break
    assert trained == len(plan.cells)
    assert all(workers.store.state(key).status == "done" for key in plan.cells)


class _Counting(Memory):
    asked = 0

    def state(self, key: str) -> State:
        self.asked += 1
        return super().state(key)


def test_the_store_is_asked_as_often_per_cell_in_a_larger_run(tmp_path: Path) -> None:
    def asked(cells: int) -> Iterator[float]:
        plan = planned(SUITE, cells)
        workers = Workers(_Counting(tmp_path / str(cells)), 32)
        for _ in "fresh", "cached":
            before = workers.store.asked
            call(plan, workers)
            yield (workers.store.asked - before) / len(plan.cells)

    fresh, cached = asked(100)
    assert cached == 1
    assert list(asked(600)) == [pytest.approx(fresh, rel=0.02), 1]
