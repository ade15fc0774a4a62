"""Every distiller: the contract, run on each file that is found, and closed forms of each loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench import checkpoint
from bench.batches import Batches
from bench.distiller import Distiller, Trace
from bench.learner import Learner, open_distiller
from bench.plan import Plan
from bench.player import below, digest
from bench.plugins import declared, names
from bench.preflight import check
from bench.store import Store
from bench.train import open_teacher

CPU = torch.device("cpu")
METHODS = names("method")
PLACES: list[Any] = [
    pytest.param({}, id="paired"),
    pytest.param({"datasets": ["grass2brick"], "architectures": ["resnet9"]}, id="unpaired"),
]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A task with its data and architecture."""
    changes: dict[str, Any] = request.param
    return changes


def plan_for(folder: Path, name: str, place: dict[str, Any]) -> Plan:
    task = "unpaired" if place else "paired"
    if task not in declared("method", name, "test")["tasks"]:
        pytest.skip(f"{name} does not treat {task} data")
    return tiny_plan(folder, methods=[name], **place)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_the_student(tmp_path: Path, name: str, place: dict[str, Any]) -> None:
    plan = plan_for(tmp_path, name, place)
    (cell,) = by_method(plan).values()
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    start = below(Learner(cell, CPU, None).networks(), "student0")
    train_together([cell], plan, store)
    assert store.state(cell.key).status == "done", store.state(cell.key)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    after = below(tensors, "student0")
    for direction in declared("task", cell.task.name, "test")["directions"]:
        mine = [n for n in after if n.startswith(f"generator.{direction}") and after[n].ndim == 4]
        assert mine
        assert not any(torch.equal(start[n], after[n]) for n in mine)


@pytest.mark.parametrize("name", METHODS)
def test_a_step_moves_the_student_and_nothing_of_a_frozen_teacher(
    tmp_path: Path, name: str, place: dict[str, Any]
) -> None:
    plan = plan_for(tmp_path, name, place)
    if not declared("method", name, "test")["teachers"]:
        return
    learner, taught, batch = one_step(plan, tmp_path)
    assert learner.teacher is not None
    before = digest(learner.teacher.networks()), digest(learner.students[0].networks())
    learner.update(0, 1e-3, batch, taught)
    assert digest(learner.teacher.networks()) == before[0]
    assert digest(learner.students[0].networks()) != before[1]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_repeats_bit_for_bit(tmp_path: Path, name: str, place: dict[str, Any]) -> None:
    plan = plan_for(tmp_path, name, place)
    (cell,) = by_method(plan).values()
    digests = []
    for folder in ("once", "again"):
        store = Store(tmp_path / folder)
        train_teachers(plan, store)
        digests.append(train_together([cell], plan, store)[cell.key])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_term_has_a_finite_gradient_that_is_not_zero(
    tmp_path: Path, name: str, place: dict[str, Any]
) -> None:
    """At batch size 1, where some published losses are constant."""
    plan = plan_for(tmp_path, name, place | {"budget": {"steps": 4, "batch": 1}})
    if not declared("method", name, "test")["teachers"]:
        return
    learner, taught, batch = one_step(plan, tmp_path)
    trace = learner.students[0].forward(batch, learner.hints)
    for direction, _, distiller in learner.distillers[0]:
        terms = distiller.terms(trace[direction], taught[direction])
        assert terms
        weights = list(learner.students[0].generators[direction].parameters())
        for term, value in terms.items():
            assert value.ndim == 0
            grads = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
            found = torch.cat([g.flatten() for g in grads if g is not None])
            assert torch.isfinite(found).all(), term
            assert found.abs().max() > 0, term


@pytest.mark.parametrize("name", METHODS)
def test_a_method_passes_the_preflight_on_every_architecture(tmp_path: Path, name: str) -> None:
    for architecture in ("unet", "resnet9", "mobile_resnet9", "pix2pixhd"):
        plan = tiny_plan(
            tmp_path, methods=[name], architectures=[architecture], task={"lambda_vgg": 0.0}
        )
        check(plan.cells.values(), plan.cells, print)


def one_step(plan: Plan, folder: Path) -> tuple[Learner, Any, dict[str, torch.Tensor]]:
    """Return a learner, what its trained teacher makes of its first batch, and that batch."""
    store = Store(folder / "runs")
    train_teachers(plan, store)
    (cell,) = by_method(plan).values()
    teacher = open_teacher(plan.cells[cell.teacher], store, CPU)
    learner = Learner(cell, CPU, teacher)
    batch = Batches(cell, learner.task.paired)[0]
    inputs = {d: lambda a=a: iter([batch[a]]) for d, (a, _) in learner.task.directions.items()}
    learner.prepare(inputs)
    with torch.no_grad():
        taught = teacher.forward(batch, learner.hints)
    return learner, taught, batch


def traces(difference: torch.Tensor) -> tuple[Trace, Trace]:
    """Return a student's and a teacher's trace whose images differ by so much."""
    image = torch.zeros_like(difference)
    empty: dict[str, torch.Tensor] = {}
    return (
        Trace(image, image + difference, empty, image, True, None),
        Trace(image, image, empty, image, True, None),
    )


def distiller(name: str, **given: Any) -> Distiller:
    return open_distiller(name, declared("method", name, "test").params(given, "test"))


@pytest.mark.parametrize("name", [n for n in METHODS if n != "none"])
def test_an_image_like_the_teachers_costs_nothing(name: str) -> None:
    method = distiller(name)
    if method.hints:
        pytest.skip("compares features")
    assert all(v == 0 for v in method.terms(*traces(torch.zeros(1, 3, 16, 16))).values())


def test_hinton_is_ten_times_the_mean_absolute_difference() -> None:
    assert distiller("hinton").terms(*traces(torch.full((2, 3, 8, 8), -0.25))) == {"l1": 2.5}


def test_wkd_is_the_sum_over_levels_of_the_mean_over_a_levels_bands() -> None:
    rng = np.random.default_rng(0)
    difference = rng.standard_normal((2, 3, 32, 32))
    low, *details = pywt.wavedec2(difference, "haar", level=3)
    high = sum(np.abs(np.stack(bands)).mean() for bands in details)
    squared = sum(np.square(np.stack(bands)).mean() for bands in details)
    student, teacher = traces(torch.from_numpy(difference))
    for given, expected in (
        ({}, {"high": 0.4 * high}),
        ({"weight": 1.0}, {"high": high}),
        ({"distance": "mse"}, {"high": 0.4 * squared}),
        ({"bands": "low"}, {"low": 0.4 * np.abs(low).mean()}),
        ({"bands": "both"}, {"high": 0.4 * high, "low": 0.4 * np.abs(low).mean()}),
    ):
        found = distiller("wkd", **given).terms(student, teacher)
        assert {n: v.item() for n, v in found.items()} == pytest.approx(expected), given


def test_wkd_with_a_longer_wavelet_and_another_depth_is_pywavelets() -> None:
    difference = np.random.default_rng(1).standard_normal((1, 3, 160, 160))
    _, *details = pywt.wavedec2(difference, "db3", mode="zero", level=4)
    expected = 0.4 * sum(np.abs(np.stack(bands)).mean() for bands in details)
    method = distiller("wkd", wavelet="db3", levels=4)
    found = method.terms(*traces(torch.from_numpy(difference)))["high"]
    assert found.item() == pytest.approx(expected)


def test_wkd_ignores_what_only_changes_brightness() -> None:
    found = distiller("wkd").terms(*traces(torch.full((1, 3, 16, 16), 0.3)))["high"]
    assert found.item() == pytest.approx(0, abs=1e-6)


def test_a_hinted_template_joins_a_suite_and_its_adapters_train(tmp_path: Path) -> None:
    """What `distillbench new distiller` writes works as it is."""
    plan = tiny_plan(tmp_path, methods={"mine": {"method": "baselines._template:Template"}})
    (cell,) = by_method(plan).values()
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    learner, _, _ = one_step(plan, tmp_path)
    start = below(learner.networks(), "distiller0.AtoB.Template")
    train_together([cell], plan, store)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    end = below(tensors, "distiller0.AtoB.Template")
    assert set(end) == {f"adapters.{r}.{p}" for r in ("down", "up") for p in ("weight", "bias")}
    assert end["adapters.down.weight"].shape == (8, 4, 1, 1)  # teacher 2 x 4, student 2 x 2
    assert not torch.equal(start["adapters.down.weight"], end["adapters.down.weight"])
