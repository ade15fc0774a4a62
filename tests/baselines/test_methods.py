"""Every distiller: the contract, run on each file that is found, and closed forms of each loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from test_train import losses, stop_after
from tiny import by_method, keeps, tiny_plan, train_teachers, train_together, weights

from bench.check.lessons import lesson, questions
from bench.check.question import Question
from bench.contracts.distiller import Distiller, Trace
from bench.contracts.kinds import METHOD
from bench.errors import Interrupted
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.player import below

pytestmark = pytest.mark.usefixtures("vgg16")  # some methods compare features of VGG-16

METHODS = METHOD.names()
TEACHING = [n for n in METHODS if METHOD.declaration(n, "test").fields["teachers"]]
ASKED = [
    pytest.param(question, id=f"{name}-{question.said}")
    for name in METHODS
    for question in questions(METHOD.part(name, {}, "test"))
]


@pytest.mark.parametrize("question", ASKED)
def test_a_method_keeps_its_contract(question: Question) -> None:
    """What `distillbench check` asks of a user's own."""
    keeps(question)


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
def test_fifty_steps_down_a_methods_own_terms_lower_them(tmp_path: Path, name: str) -> None:
    """On real photographs, with a teacher and adapters that stand still; without adversarial terms.

    If the adapters moved too, they alone could lower the loss of a student that does not.
    """
    tasks = METHOD.declaration(name, "test").says.tasks or ("paired",)
    place = {} if "paired" in tasks else {"datasets": ["grass2brick"], "architectures": ["resnet9"]}
    if not {"paired", "unpaired"} & set(tasks):
        pytest.skip(f"{name} does not treat images of two domains")
    plan = tiny_plan(tmp_path, methods=[name], **place, budget={"steps": 50, "batch": 2})
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
