"""Seeds that share their batches: one pass of the teacher, and the bits that each has alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import losses, stop_after
from tiny import (
    plan_without_adversary,
    student_cells,
    tiny_plan,
    train_teachers,
    train_together,
    weights,
)

from bench.errors import Interrupted
from bench.plan.cell import ORDER
from bench.plan.matrix import cohorts
from bench.run.verify import verify
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.learner import Learner, open_task
from bench.train.player import Player

# At 64 px the U-Net has dropout: noise that seeds shared would show.
SUITE: dict[str, Any] = {"methods": ["hinton", "wkd"], "seeds": [ORDER, 1, 2], "size": 64}


def test_a_teacher_runs_once_for_all_seeds_and_each_has_the_bits_it_has_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, batches="shared", **SUITE)
    (cells,) = cohorts(student_cells(plan))
    together, halves, alone = (Store(tmp_path / name) for name in ("one", "two", "many"))
    for store in (together, halves, alone):
        train_teachers(plan, store)
    passes, forward = [], Player.forward

    def counted(player: Player, *args: Any) -> Any:
        passes.append(player.nets.width)
        return forward(player, *args)

    monkeypatch.setattr(Player, "forward", counted)
    train_together(cells, plan, together)
    steps = cells[0].budget.steps
    assert passes.count(4) == steps  # the teacher's width
    assert passes.count(2) == steps * len(cells)
    for group in cohorts(cells, at_least=2):
        train_together(group, plan, halves)
    for cell in cells:
        train_together([cell], plan, alone)
        assert weights(together, cell) == weights(halves, cell) == weights(alone, cell)
        assert losses(together, cell) == losses(alone, cell)
    assert len({weights(together, cell) for cell in cells}) == len(cells)


def test_at_the_seed_of_the_order_it_changes_nothing(tmp_path: Path) -> None:
    own, shared = (tiny_plan(tmp_path, batches=kind, **SUITE) for kind in ("own", "shared"))
    store = Store(tmp_path / "runs")
    train_teachers(own, store)
    same = []
    for mine, theirs in zip(student_cells(own), student_cells(shared), strict=True):
        for cell, plan in ((mine, own), (theirs, shared)):
            train_together([cell], plan, store)
        networks = [checkpoint.load(store.checkpoint(c.key))[0] for c in (mine, theirs)]
        same.append(checkpoint.digest(networks[0]) == checkpoint.digest(networks[1]))
    assert same == [True, False, False] * 2


def test_images_and_crops_are_shared_and_networks_are_not(tmp_path: Path) -> None:
    cells = student_cells(tiny_plan(tmp_path, batches="shared", **SUITE))[:2]
    first, second = (Batches(cell, open_task(cell)) for cell in cells)
    assert len(first) > 1
    for step in (0, len(first) + 1):  # of the second epoch too
        a, b = first[step], second[step]
        assert all(torch.equal(a[name], b[name]) for name in a)
    a, b = (Learner(cell, torch.device("cpu"), None).networks() for cell in cells)
    assert not any(torch.equal(a[name], b[name]) for name in a if a[name].ndim == 4)


def test_times_and_noise_of_diffusion_are_drawn_once_for_all(tmp_path: Path) -> None:
    """They are part of what the teacher is asked."""
    keys: dict[str, Any] = {
        "datasets": ["photo_crops"],
        "architectures": {
            "lite": {"architecture": "ldm_unet", "multiples": [1, 2], "blocks": 1, "attention": [2]}
        },
        "methods": ["hinton_l2"],
        "widths": [4],
        "seeds": [0, 1],
        "size": 16,
        "teacher": {"width": 8, "budget": {"steps": 2}},
        "outputs": {"samples": 6, "batch": 4, "steps": 3},
        "metrics": ["params"],
    }
    own, shared = (
        student_cells(plan_without_adversary(tmp_path / kind, keys | {"batches": kind}))
        for kind in ("own", "shared")
    )
    for cells, same in ((own, False), (shared, True)):
        a, b = (Batches(cell, open_task(cell))[1] for cell in cells)
        assert {"noise", "time"} <= a.keys()
        assert torch.equal(a["noise"], b["noise"]) == same


def test_a_cohort_cut_off_goes_on_to_the_same_bits_and_verifies(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, batches="shared", **SUITE)
    cells = student_cells(plan)
    whole, store = Store(tmp_path / "whole"), Store(tmp_path / "runs")
    for place in (whole, store):
        train_teachers(plan, place)
    train_together(cells, plan, whole)
    with pytest.raises(Interrupted):
        train_together(cells[:4], plan, store, stop=stop_after(2))
    train_together(cells, plan, store)
    for cell in cells:
        assert weights(store, cell) == weights(whole, cell)
    last = cells[-1]
    found = verify(
        last,
        {last.teacher: plan.cells[last.teacher]},
        whole,
        whole.read(last.key, "end.json"),
        "cpu",
    )
    assert found.same
