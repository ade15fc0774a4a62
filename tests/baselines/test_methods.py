"""Every distiller: the contract, run on each file that is found, and closed forms of each loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from test_train import losses, stop_after
from tiny import by_method, tiny_plan, train_teachers, train_together, weights

from bench.contracts.distiller import Distiller, Trace
from bench.contracts.kinds import METHOD, TASK
from bench.contracts.task import Batch
from bench.errors import Interrupted
from bench.plan.matrix import Plan
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.checkpoint import digest
from bench.train.learner import Learner
from bench.train.loop import open_teacher
from bench.train.player import below

pytestmark = pytest.mark.usefixtures("vgg16")  # some methods compare features of VGG-16

CPU = torch.device("cpu")
METHODS = METHOD.names()
TEACHING = [n for n in METHODS if METHOD.declaration(n, "test").fields["teachers"]]
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
    tasks = METHOD.declaration(name, "test").says.tasks
    if tasks is not None and task not in tasks:
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
    for direction in TASK.declaration(cell.task.name, "test").fields["directions"]:
        mine = [n for n in after if n.startswith(f"generator.{direction}") and after[n].ndim == 4]
        assert mine
        assert not any(torch.equal(start[n], after[n]) for n in mine)


@pytest.mark.parametrize("name", TEACHING)
def test_a_step_moves_the_student_and_an_online_teacher_but_no_frozen_one(
    tmp_path: Path, name: str, place: dict[str, Any]
) -> None:
    plan = plan_for(tmp_path, name, place)
    learner, batches, teach = lesson(plan, tmp_path)
    batch = batches[0]
    teacher = learner.mentor or learner.teacher
    assert teacher is not None
    before = digest(teacher.networks()), digest(learner.students[0].networks())
    learner.update(0, 1e-3, batch, None if learner.mentor else teach(batch))
    assert (digest(teacher.networks()) == before[0]) == (learner.mentor is None)
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


def test_methods_end_with_the_same_bits_together_alone_and_after_a_kill(tmp_path: Path) -> None:
    """All in one cohort, which is cut off; what they keep (adapters, bases, teachers) goes on."""
    slow = dict.fromkeys(("lambda_style", "lambda_feature"), 0.0)  # of VGG-16, which has no state
    methods = {
        name: {
            p: x
            for p, x in slow.items()
            if p in METHOD.declaration(name, "test").fields["defaults"]
        }
        for name in METHODS
    }
    methods["full"] = {"method": "gan_compression", "recipe": "full"}
    plan = tiny_plan(tmp_path, methods=methods, budget={"steps": 3, "batch": 2})
    cells = list(by_method(plan).values())
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    for store in (together, alone):
        train_teachers(plan, store)
    with pytest.raises(Interrupted):
        train_together(cells, plan, together, stop=stop_after(2))
    train_together(cells, plan, together)
    for cell in cells:
        train_together([cell], plan, alone)
        assert weights(together, cell) == weights(alone, cell), cell.method
        assert losses(together, cell) == losses(alone, cell), cell.method


@pytest.mark.parametrize("name", TEACHING)
def test_every_term_has_a_finite_gradient_that_is_not_zero(
    tmp_path: Path, name: str, place: dict[str, Any]
) -> None:
    """At batch size 1, where some published losses are constant."""
    plan = plan_for(tmp_path, name, place | {"budget": {"steps": 4, "batch": 1}})
    learner, batches, teach = lesson(plan, tmp_path)
    trace = learner.students[0].forward(batches[0], learner.hints)
    taught = teach(batches[0])
    for direction, _, distiller in learner.distillers[0]:
        terms = distiller.terms(trace[direction], taught[direction])
        assert terms
        moved = list(learner.students[0].generators[direction].parameters())
        for term, value in terms.items():
            assert value.ndim == 0
            grads = torch.autograd.grad(value, moved, retain_graph=True, allow_unused=True)
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


@pytest.mark.parametrize("name", TEACHING)
def test_fifty_steps_down_a_methods_own_terms_lower_them(tmp_path: Path, name: str) -> None:
    """On real photographs, with a teacher and adapters that stand still; without adversarial terms.

    If the adapters moved too, they alone could lower the loss of a student that does not.
    """
    tasks = METHOD.declaration(name, "test").says.tasks or ("paired",)
    place = {} if "paired" in tasks else {"datasets": ["grass2brick"], "architectures": ["resnet9"]}
    plan = plan_for(tmp_path, name, place | {"budget": {"steps": 50, "batch": 2}})
    learner, batches, teach = lesson(plan, tmp_path)
    (student,) = learner.students
    moved = list(student.generators.parameters())
    optimiser = torch.optim.Adam(moved, lr=1e-3)
    losses = []
    for batch in (batches[i % 5] for i in range(50)):  # the same ones first and last
        taught, traces = teach(batch), student.forward(batch, learner.hints)
        terms = [
            value
            for direction, _, distiller in learner.distillers[0]
            for term, value in distiller.terms(traces[direction], taught[direction]).items()
            if "gan" not in term
        ]
        loss = torch.stack(terms).sum()
        optimiser.zero_grad()
        loss.backward(inputs=moved)
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("name", ["dmad", "dcd", "fesd"])
def test_of_two_discriminators_the_full_scale_compares_and_both_judge(
    tmp_path: Path, name: str
) -> None:
    """On Pix2PixHD: what the half scale would say changes no term but the adversarial one."""
    changes = {"architectures": ["pix2pixhd"], "task": {"lambda_vgg": 0.0}}
    learner, batches, teach = lesson(tiny_plan(tmp_path, methods=[name], **changes), tmp_path)
    ((direction, _, method),) = learner.distillers[0]
    student = learner.students[0].forward(batches[0], learner.hints)[direction]
    teacher = teach(batches[0])[direction]
    found = []
    for scale in ("", "coarse", "fine"):
        for weight in teacher.discriminator.get_submodule(scale).parameters() if scale else ():
            torch.nn.init.normal_(weight, 0.0, 0.1)
        found.append({n: value.item() for n, value in method.terms(student, teacher).items()})
    before, coarse, fine = found
    assert np.isfinite(list(before.values())).all()
    assert {n for n in before if coarse[n] != before[n]} == {"gan"} & set(before)
    compared = {"attention", "discriminator", "cooperation", "gan"} & set(before)
    assert {n for n in before if fine[n] != coarse[n]} == compared


def lesson(
    plan: Plan, folder: Path, device: str = "cpu"
) -> tuple[Learner, Batches, Callable[[Batch], Mapping[str, Trace]]]:
    """Return a prepared learner, its batches, and what its teacher makes of a batch."""
    store, place = Store(folder / "runs"), torch.device(device)
    train_teachers(plan, store, device)
    (cell,) = by_method(plan).values()
    frozen = open_teacher(plan.cells[cell.teacher], store, place) if cell.teacher else None
    learner = Learner(cell, place, frozen)
    batches = Batches(cell, learner.task)
    batch = {domain: images.to(place) for domain, images in batches[0].items()}
    task = learner.task
    inputs = {d: lambda d=d: iter([task.inputs(d, batch)]) for d in task.directions}
    learner.prepare(inputs)
    teacher = frozen or learner.mentor

    def teach(batch: Batch) -> Mapping[str, Trace]:
        with torch.no_grad():
            return teacher.forward(batch, learner.hints)

    return learner, batches, teach


def traces(difference: torch.Tensor) -> tuple[Trace, Trace]:
    """Return a student's and a teacher's trace whose images differ by so much."""
    image = torch.zeros_like(difference)
    empty: dict[str, torch.Tensor] = {}
    return (
        Trace(image, image + difference, empty, image, True, None),
        Trace(image, image, empty, image, True, None),
    )


def distiller(name: str, **given: Any) -> Distiller:
    return METHOD.load(name, name)(METHOD.declaration(name, "test").params(given, "test"))


@pytest.mark.parametrize("name", TEACHING)
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
    learner, _, _ = lesson(plan, tmp_path)
    start = below(learner.networks(), "distiller0.AtoB.Template")
    train_together([cell], plan, store)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    end = below(tensors, "distiller0.AtoB.Template")
    assert set(end) == {f"adapters.{r}.{p}" for r in ("down", "up") for p in ("weight", "bias")}
    assert end["adapters.down.weight"].shape == (8, 4, 1, 1)  # teacher 2 x 4, student 2 x 2
    assert not torch.equal(start["adapters.down.weight"], end["adapters.down.weight"])
