"""How strongly methods pull: against torch's own gradients, without changing a bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from figures import entries, rows
from test_train import stop_after
from tiny import by_method, tiny_plan, train_teachers, train_together, weights

from bench.errors import Interrupted
from bench.report import render
from bench.store.layout import Store
from bench.train import loop
from bench.train.batches import Batches
from bench.train.learner import Learner
from bench.train.loop import open_teacher
from reports.gradient_share import GradientShare

CPU = torch.device("cpu")
METHODS = {
    "hinton": {},
    "twice": {"method": "hinton", "weight": 20.0},
    "both": {"method": "hinton+wkd"},
}
PLACE: dict[str, Any] = {  # without dropout, and with the discriminator as it was
    "architectures": ["resnet9"],
    "methods": METHODS,
    "task": {"order": "simultaneous"},
}


def pulls(store: Store, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = store.read(key, "end.json")["pulls"]
    return found


def test_a_share_is_the_ratio_of_torchs_own_gradients(tmp_path: Path) -> None:
    plan, store = tiny_plan(tmp_path, **PLACE), Store(tmp_path / "runs")
    train_teachers(plan, store)
    cells = by_method(plan)
    teacher = open_teacher(plan.cells[cells["hinton"].teacher], store, CPU)
    found: dict[str, dict[str, float | None]] = {}
    for name, cell in cells.items():
        learner = Learner(cell, CPU, teacher)
        batch = Batches(cell, learner.task)[0]
        made, judge = (
            learner.students[0].modules[n]["AtoB"] for n in ("generator", "discriminator")
        )
        output, real = made(batch["A"])[0], batch["B"]
        with torch.no_grad():
            wanted = teacher.generators["AtoB"](batch["A"])[0]

        def norm(loss: torch.Tensor, made: Any = made) -> float:
            parts = torch.autograd.grad(loss, list(made.parameters()), retain_graph=True)
            return float(torch.cat([g.flatten() for g in parts]).norm())

        logits = judge(torch.cat([batch["A"], output], 1))[0][0]
        original = norm(100 * F.l1_loss(output, real) + F.softplus(-logits).mean())
        expected = norm(10 * F.l1_loss(output, wanted)) / original
        found[name] = {}
        learner.update(0, 1e-3, batch, teacher.forward(batch, learner.hints), found[name])
        if name == "hinton":
            assert found[name] == {"hinton": pytest.approx(expected, rel=1e-4)}
    assert found["twice"]["hinton"] == pytest.approx(2 * (found["hinton"]["hinton"] or 0), rel=1e-4)
    assert found["both"].keys() == {"hinton", "wkd"}
    assert found["both"]["hinton"] == pytest.approx(found["hinton"]["hinton"], rel=1e-4)


def test_measuring_changes_no_bit_and_a_resumed_run_has_the_same_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods=["wkd"], budget={"steps": 6, "batch": 2}, size=64)
    (cell,) = by_method(plan).values()
    whole, cut, without = (Store(tmp_path / name) for name in ("whole", "cut", "without"))
    for store in (whole, cut, without):
        train_teachers(plan, store)
    train_together([cell], plan, whole)
    with pytest.raises(Interrupted):
        train_together([cell], plan, cut, stop=stop_after(3))
    train_together([cell], plan, cut)
    monkeypatch.setattr(loop, "PULLS", 0)
    train_together([cell], plan, without)

    assert weights(whole, cell) == weights(cut, cell) == weights(without, cell)
    assert [taken["step"] for taken in pulls(whole, cell.key)] == [2, 4, 6]
    assert pulls(whole, cell.key) == pulls(cut, cell.key)
    assert all(0 < taken["pulls"]["wkd"] < 1 for taken in pulls(whole, cell.key))
    assert "pulls" not in without.read(cell.key, "end.json")


def test_peers_have_shares_of_their_own_and_who_keeps_no_original_term_is_alone(
    tmp_path: Path,
) -> None:
    blind = {"lambda_style": 0.0, "lambda_feature": 0.0}
    methods = {"hinton": {"teacher": {"mode": "peers", "peers": 2}}, "omgd": blind, "none": {}}
    plan, store = tiny_plan(tmp_path, methods=methods), Store(tmp_path / "runs")
    cells = by_method(plan)
    for cell in cells.values():
        train_together([cell], plan, store)
    (first, *_) = pulls(store, cells["hinton"].key)
    assert list(first["pulls"]) == ["peer0.hinton", "peer1.hinton"]
    assert all(taken["pulls"] == {"omgd": None} for taken in pulls(store, cells["omgd"].key))
    assert "pulls" not in store.read(cells["none"].key, "end.json")
    json.dumps(pulls(store, cells["omgd"].key), allow_nan=False)


def test_a_method_that_does_not_reach_the_student_pulls_with_nothing(tmp_path: Path) -> None:
    """Its terms may be of its own modules, or constants."""
    plan = tiny_plan(tmp_path, methods={"wkd": {}})
    (cell,) = by_method(plan).values()
    for own in (torch.ones((), requires_grad=True), torch.ones(())):
        learner = Learner(cell, CPU, None)
        (taught,) = learner.distillers[0]
        taught.distiller.terms = lambda student, teacher, own=own: {"own": own.square()}
        found: dict[str, float | None] = {}
        batch = Batches(cell, learner.task)[0]
        learner.update(0, 1e-3, batch, learner.students[0].forward(batch, ()), found)
        assert found == {"wkd": 0.0}


def test_the_table_of_shares() -> None:
    frame = entries(methods=("none", "wkd", "both", "omgd"))
    taken = {
        "wkd": [{"wkd": 0.004}, {"wkd": 0.016}],
        "both": [{"wkd": 0.01, "hinton": 0.5}] * 2,
        "omgd": [{"omgd": None}] * 2,
    }
    frame["pulls"] = [
        [{"step": 1, "pulls": taken[e["method"]][e["seed"]]}] * 3 if e["method"] in taken else []
        for e in frame.to_dict("records")
    ]
    (table,) = GradientShare().make(rows(frame))
    assert render.comma_separated(table) == (
        "Data,Width,Method,at 1/3 [%],at 2/3 [%],at the end [%]\n"
        '"edges, unet",8,wkd,1.0 ± 0.8,1.0 ± 0.8,1.0 ± 0.8\n'
        ",,both: wkd,1.0 ± 0.0,1.0 ± 0.0,1.0 ± 0.0\n"
        ",,both: hinton,50 ± 0,50 ± 0,50 ± 0\n"
        ",,omgd,alone,alone,alone\n"
    )
    assert list(GradientShare().make(rows(frame.assign(pulls=[[]] * len(frame))))) == []
    assert isinstance(frame, pd.DataFrame)
