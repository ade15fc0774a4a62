"""In which shares a walk hands out cells, with workers that only note what they were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_plan

from bench.run import walk
from bench.run.job import Emit, Job
from bench.store.layout import Store


class _Noting:
    """Two workers; the job that was given first ends first."""

    device, threads, checkpoint_s = "cpu", 1, 30.0

    def __init__(self, count: int, is_elsewhere: bool = False) -> None:
        self.is_elsewhere = is_elsewhere
        self.count, self.busy, self.sizes = count, list[Job](), list[int]()
        self.beside: dict[str, int] = {}  # action -> jobs at work when it was last submitted

    def open(self, emit: Emit, cells: int) -> _Noting:
        return self

    def idle(self) -> int:
        return self.count - len(self.busy)

    def submit(self, job: Job) -> None:
        self.beside[job.action] = len(self.busy)
        self.busy.append(job)
        if job.action == "train":
            self.sizes.append(len(job.cells))

    def wait(self) -> list[Job]:
        return [self.busy.pop(0)]

    def stop(self) -> None:
        self.busy.clear()

    def close(self) -> None:
        assert not self.busy


@pytest.mark.parametrize(
    ("seeds", "sizes"),
    [
        ([0], [2, 2]),
        ([0, 1], [4, 4]),
        ([0, 1, 2], [4, 4, 2, 1, 1]),  # smaller and smaller: the workers end at one time
        ([0, 1, 2, 3], [4, 4, 4, 2, 1, 1]),
    ],
)
def test_the_last_cohort_is_shared_out_among_the_workers(
    seeds: list[int], sizes: list[int], tmp_path: Path
) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}}, widths=[2, 3, 4, 5], seeds=seeds)
    students = {e.cell.key for e in plan.students if e.cell}
    assert set(plan.cells) == students  # without a teacher to wait for
    workers = _Noting(2)
    walk.run(plan, Store(tmp_path / "runs"), workers, lambda *event: None)
    assert workers.sizes == sizes


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_other_machines_are_looked_through_before_they_score(
    is_elsewhere: bool, tmp_path: Path
) -> None:
    store = Store(tmp_path / "runs")
    plan = tiny_plan(tmp_path, methods={"none": {}})
    for key in plan.cells:
        store.write(key, "end.json", {"status": "done"})
    workers = _Noting(2, is_elsewhere)
    walk.run(plan, store, workers, lambda *event: None)
    assert list(workers.beside) == ["check"] * is_elsewhere + ["train"]


def test_networks_are_measured_while_nothing_else_is_at_work(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}}, widths=[2, 3], metrics=["latency"])
    workers = _Noting(2)
    walk.run(plan, Store(tmp_path / "runs"), workers, lambda *event: None)
    assert workers.beside == {"check": 0, "train": 1, "measure": 0}
