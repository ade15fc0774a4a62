"""Cells are handed out by cohort, and no message of a worker makes the walk look at each again."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import student_cells, tiny_plan

from bench.plan.cell import Cell
from bench.plan.effort import effort
from bench.plan.matrix import cohorts
from bench.run import ready
from bench.run.ready import Ready


def _keys(groups: list[list[Cell]]) -> list[list[str]]:
    return [[cell.key for cell in group] for group in groups]


def test_cohorts_are_those_of_all_cells_at_once(tmp_path: Path) -> None:
    cells = student_cells(tiny_plan(tmp_path, seeds=[0, 1, 2, 3], widths=[2, 3]))
    waiting = Ready({})
    for cell in cells:
        waiting.add(cell)
    assert _keys(waiting.take(9, at_least=4)) == _keys(cohorts(cells))
    assert waiting.take(9, at_least=4) == []


def test_what_others_await_comes_first(tmp_path: Path) -> None:
    cells = student_cells(tiny_plan(tmp_path, seeds=[0, 1, 2, 3], methods={"none": {}}))
    waiting = Ready({cells[2].key: 5, cells[1].key: 2})
    for cell in cells:
        waiting.add(cell)
    handed = [waiting.take(1, at_least=1) for _ in cells]
    assert [group[0].seed for (group,) in handed] == [2, 1, 0, 3]


def test_what_is_split_and_not_taken_stays(tmp_path: Path) -> None:
    cells = student_cells(tiny_plan(tmp_path, seeds=[0], widths=[2, 3, 4]))
    waiting = Ready({})
    for cell in cells:
        waiting.add(cell)
    first = waiting.take(1, at_least=3)
    rest = waiting.take(9, at_least=1)
    assert len(first) == 1
    assert len(first[0]) < len(cells)
    found = Counter(cell.key for group in (*first, *rest) for cell in group)
    assert found == Counter(cell.key for cell in cells)


@pytest.mark.parametrize(("workers", "times"), [(1, 1), (40, 4)])  # in cohorts of 8: 8, 4, 2, 1
def test_handing_out_looks_at_each_cell_once_and_at_each_split(
    workers: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"seeds": list(range(50)), "methods": {"none": {}}, "widths": list(range(2, 10))}
    cells = student_cells(tiny_plan(tmp_path, **axes))
    looked = 0

    def counting(group: list[Cell], at_least: int = 1) -> list[list[Cell]]:
        nonlocal looked
        group = list(group)
        looked += len(group)
        return cohorts(group, at_least)

    monkeypatch.setattr(ready, "cohorts", counting)
    waiting = Ready({})
    for cell in cells:
        waiting.add(cell)
    while waiting.take(1, at_least=workers):
        pass
    assert len(waiting) == 0
    assert looked <= times * len(cells)


def _end(cells: list[Cell], workers: int) -> float:
    """Return when the last of some workers ends, in units of effort."""
    waiting, free = Ready({}), [0.0] * workers
    for cell in cells:
        waiting.add(cell)
    while groups := waiting.take(1, at_least=workers):
        (group,) = groups
        heapq.heapreplace(free, free[0] + sum(map(effort, group)))
    return max(free)


def test_the_longest_first_end_at_one_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny_plan(tmp_path, seeds=list(range(13)), methods={"none": {}})
    cells = [
        replace(cell, budget=cell.budget.model_copy(update={"steps": 10 * (cell.seed + 1)}))
        for cell in student_cells(plan)
    ]
    even = sum(map(effort, cells)) / 4
    assert _end(cells, workers=4) < 1.06 * even
    monkeypatch.setattr(ready, "effort", lambda cell: 0.0)
    assert _end(cells, workers=4) > 1.2 * even  # the longest begins when the others end


def test_effort_is_steps_times_pixels_times_channels(tmp_path: Path) -> None:
    (cell,) = student_cells(tiny_plan(tmp_path, methods={"none": {}}))
    wider = replace(cell.nets, width=2 * cell.nets.width, discriminator_width=0)
    alone = replace(cell, nets=replace(cell.nets, discriminator_width=0))
    longer = cell.budget.model_copy(update={"steps": 3 * cell.budget.steps})
    assert effort(replace(cell, size=2 * cell.size)) == 4 * effort(cell)
    assert effort(replace(cell, budget=longer)) == 3 * effort(cell)
    assert effort(replace(alone, nets=wider)) == 4 * effort(alone)
    assert effort(replace(alone, mentor=wider)) == 5 * effort(alone)
