"""A suite whose seeds share their batches: whose key it is part of, who trains together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import student_cells, tiny_plan, write_suite

from bench.contracts.shared_batches import PROTOCOL
from bench.errors import SuiteError
from bench.plan.cell import ORDER
from bench.plan.matrix import MOST, cohorts
from bench.plan.scores import image_scores, network_protocol
from bench.plan.suite import load
from bench.run.ready import Ready
from bench.run.stale import Specs


def test_students_have_it_in_their_keys_and_teachers_do_not(tmp_path: Path) -> None:
    methods = {
        "none": {},
        "wkd": {},
        "self": {"method": "hinton", "teacher": {"mode": "same"}},
        "takd": {"method": "hinton", "teacher": {"mode": "assistant", "assistant_width": 3}},
        "dml": {"method": "wkd", "teacher": {"mode": "peers"}},
    }
    own, stated, shared = (
        tiny_plan(tmp_path, methods=methods, seeds=[0, 1], **more)
        for more in ({}, {"batches": "own"}, {"batches": "shared"})
    )
    assert own.cells == stated.cells
    assert own.suite.told == stated.suite.told
    assert "batches" not in own.suite.told
    assert shared.suite.told["batches"] == "shared"
    mine, theirs = ({c.key for c in student_cells(plan)} for plan in (own, shared))
    assert not mine & theirs
    above = {cell.teacher for cell in student_cells(shared)} - {""}
    assert above <= set(shared.cells) - theirs
    assert {cell.teacher for cell in student_cells(own)} - {""} == above
    for key, cell in shared.cells.items():
        assert json.loads(cell.canonical).get("shared_batches", False) == (key in theirs)
    assert not any("shared_batches" in cell.canonical for cell in own.cells.values())


def test_every_score_of_a_students_images_says_so(tmp_path: Path) -> None:
    shared = tiny_plan(tmp_path, metrics=["psnr", "swd", "params"], batches="shared")
    for entry in shared.entries:
        assert entry.cell is not None
        said = {w.protocol.get("batches") for w in image_scores(entry.cell, shared.metrics)}
        assert said == {PROTOCOL if entry.role == "student" else None}
    own = tiny_plan(tmp_path, metrics=["psnr", "swd"])
    mine, theirs = (
        {w.id for c in student_cells(plan) for w in image_scores(c, plan.metrics)}
        for plan in (own, shared)
    )
    assert mine.isdisjoint(theirs)
    (params,) = (m for m in shared.metrics if m.name == "params")
    assert "batches" not in network_protocol(student_cells(shared)[0], params, {})


def test_all_seeds_draw_from_one_seed_and_differ_in_all_else(tmp_path: Path) -> None:
    own, shared = (
        student_cells(tiny_plan(tmp_path, methods=["wkd"], seeds=[ORDER, 1, 2], batches=kind))
        for kind in ("own", "shared")
    )
    assert {c.seed_for("batches") for c in shared} == {own[0].seed_for("batches")}
    assert {c.batches for c in shared} == {own[0].batches}
    for purpose in ("noise", "networks", "adapters"):
        mine, theirs = ([c.seed_for(purpose, 3) for c in cells] for cells in (own, shared))
        assert mine == theirs
        assert len(set(mine)) == 3


def test_a_seed_more_moves_no_other_cell(tmp_path: Path) -> None:
    fewer, more = (
        {c.key for c in student_cells(tiny_plan(tmp_path, seeds=seeds, batches="shared"))}
        for seeds in ([4, 5], [3, 4, 5])
    )
    assert fewer < more


def test_cohorts_are_bounded_and_even(tmp_path: Path) -> None:
    cells = student_cells(tiny_plan(tmp_path, seeds=list(range(23)), batches="shared"))
    assert len(cells) == 69
    groups = cohorts(cells)
    assert [len(group) for group in groups] == [23, 23, 23]
    assert {c.key for group in groups for c in group} == {c.key for c in cells}
    assert [len(group) for group in cohorts(cells[:MOST])] == [MOST]
    assert max(len(group) for group in cohorts(cells, at_least=5)) <= 23
    waiting = Ready({})
    for cell in cells:
        waiting.add(cell)
    handed = [waiting.take(1, at_least=1) for _ in range(4)]
    assert [len(group) for taken in handed for group in taken] == [23, 23, 23]
    assert {c.key for (group,) in handed[:3] for c in group} == {c.key for c in cells}


def test_trials_share_too_and_what_someone_else_made_is_what_it_was(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "theirs.safetensors")
    changes: dict[str, Any] = {
        "methods": {"none": {}, "wkd": {}, "theirs": {"weights": "theirs.safetensors"}},
        "tune": {"trials": 2, "by": "psnr", "seeds": [7, 8]},
    }
    own, shared = (tiny_plan(tmp_path, batches=kind, **changes) for kind in ("own", "shared"))
    assert shared.trials is not None
    trials = [e.cell for e in shared.trials.entries if e.role == "trial"]
    assert len({cell.batches for cell in trials if cell}) == 1
    assert all("shared_batches" in cell.canonical for cell in trials if cell)
    mine, theirs = (
        [e.cell.key for e in plan.entries if e.role == "given" and e.cell] for plan in (own, shared)
    )
    assert mine == theirs != []


def test_what_it_may_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"batches: .*'own' or 'shared'"):
        load(write_suite(tmp_path, batches="common"))


def test_plan_says_why_a_cell_of_the_other_kind_is_not_this_one(tmp_path: Path) -> None:
    own, shared = (tiny_plan(tmp_path, methods=["none"], batches=b) for b in ("own", "shared"))
    (mine,), (theirs,) = student_cells(own), student_cells(shared)
    assert Specs([mine.spec({})]).why_stale(theirs) == "shared_batches unset -> True"
