"""Teachers that train along: in turns with their students, and two of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import losses, stop_after
from tiny import by_method, tiny_plan, train_together, weights

from bench.errors import Interrupted, SuiteError
from bench.plan.cell import Cell
from bench.plan.learning_rate import Schedule, epochs_of, schedule_of
from bench.plan.matrix import cohorts
from bench.plan.suite import Alternation, Budget
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.learner import Learner

CPU = torch.device("cpu")
UNPAIRED = {"datasets": ["grass2brick"], "architectures": ["mobile_resnet9"]}
BLIND = {"lambda_style": 0.0, "lambda_feature": 0.0}  # without VGG-16
ONLINE = {name: {"method": name, **BLIND} for name in ("omgd", "dcd", "fesd")}
TURNS = {"teacher": 1, "students": 2}
DEEPER = {"architecture": "deep_unet", "width": 2, "shared": 3}


def with_teacher(row: dict[str, Any], **teacher: Any) -> dict[str, Any]:
    return {**row, "teacher": teacher}


def one(folder: Path, row: dict[str, Any], **changes: Any) -> Cell:
    (cell,) = by_method(tiny_plan(folder, methods={"only": row}, **changes)).values()
    return cell


def fault(folder: Path, row: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        check([one(folder, row, **changes)], {}, print)
    return str(caught.value)


# turns


def official(epochs: int, every: int, times: int) -> Iterator[tuple[str, float]]:
    """Yield who moves, and the factor of its rate, in each epoch of OMGD's code (trainer.py).

    An epoch of the teacher; where its number from 1 is a multiple of `every` or the last, `times *
    every` epochs of the student; then every rate is set for the next epoch (100 + 100 epochs).
    """
    for epoch in range(1, epochs + 1):
        rate = 1 - max(0, (epoch - 1) + 1 - epochs // 2) / (epochs - epochs // 2 + 1)
        yield "teacher", rate
        if epoch % every == 0 or epoch == epochs:
            yield from [("students", rate)] * (times * every)


@pytest.mark.parametrize(("every", "epochs"), [(10, 800), (6, 816)])
def test_turns_and_rates_are_those_of_omgds_code(every: int, epochs: int) -> None:
    """On horse2zebra and on summer2winter, whose last turn of the teacher has two epochs."""
    turns = Alternation(teacher=every, students=4 * every)
    schedule = Schedule((Budget(epochs=200, lr=1.0),), images=3, alternation=turns)
    expected = list(official(200, every, 4))
    assert schedule.steps == 3 * len(expected) == 3 * (200 + epochs)
    for step in range(schedule.steps):
        who, rate = expected[step // 3]
        assert schedule.movers(step) == (who,)
        assert schedule.lr(step) == pytest.approx(rate, abs=1e-12)
    assert schedule.stages[0].of_students == epochs


def test_turns_of_a_budget_in_steps_are_steps() -> None:
    turns = Alternation(teacher=2, students=3)
    schedule = Schedule((Budget(steps=5, lr=6.0, batch=4),), images=3, alternation=turns)
    movers = [schedule.movers(step)[0][0] for step in range(schedule.steps)]
    assert "".join(movers) == "ttssst" + "tssstsss"
    assert [schedule.lr(step) for step in range(5)] == [6.0] * 5
    constant = Schedule((Budget(steps=5),), images=3)
    assert [constant.movers(step) for step in range(5)] == [("students", "teacher")] * 5


def test_a_turn_of_epochs_ends_where_an_epoch_does() -> None:
    """Batches of 2 over 3 images: the second epoch begins within the second step."""
    turns = Alternation(teacher=1, students=1)
    schedule = Schedule((Budget(epochs=1, batch=2),), images=3, alternation=turns)
    assert schedule.steps == 3
    assert [schedule.movers(step)[0] for step in range(3)] == ["teacher", "teacher", "students"]


@pytest.mark.parametrize("name", ONLINE)
def test_in_a_turn_the_others_wait(tmp_path: Path, name: str) -> None:
    row = with_teacher(ONLINE[name], alternation=TURNS)
    cell = one(tmp_path, row, budget={"steps": 2, "batch": 1}, **UNPAIRED)
    learner = Learner(cell, CPU, None)
    assert learner.mentor is not None
    players = {"students": learner.students[0], "teacher": learner.mentor}
    batches = Batches(cell, learner.task)
    for step in range(schedule_of(cell).steps):
        before = {
            who: {n: p.clone() for n, p in player.modules.named_parameters()}
            for who, player in players.items()
        }
        found = learner.update(step, 1e-3, batches[step], None)
        mover = "teacher" if step in (0, 3) else "students"
        assert {n.startswith("teacher.") for n in found} == {mover == "teacher"}
        for who, player in players.items():
            same = [torch.equal(p, before[who][n]) for n, p in player.modules.named_parameters()]
            assert all(same) == (who != mover), (step, who)


def test_a_cell_in_turns_has_a_key_and_batches_of_its_own(tmp_path: Path) -> None:
    row = {**ONLINE["omgd"], "teacher": {}}
    turns = {"teacher": 2, "students": 3}
    both = {"plain": row, "turns": with_teacher(row, alternation=turns)}
    plan = tiny_plan(tmp_path, methods=both, budget={"epochs": 3, "batch": 1})
    plain, taken = by_method(plan).values()
    assert plain.key != taken.key
    assert "alternation" not in plain.canonical
    assert '"alternation":{"students":3,"teacher":2}' in taken.canonical
    assert len(cohorts([plain, taken])) == 2
    assert (epochs_of(plain), epochs_of(taken)) == (3, 6)
    assert schedule_of(taken).steps == 3 * schedule_of(plain).steps
    assert plan.recipe(taken) == f"{plan.recipe(plain)}, in turns of 2 and 3"


@pytest.mark.parametrize("killed", [2, 4])
def test_turns_end_with_the_same_bits_after_a_kill(tmp_path: Path, killed: int) -> None:
    """Within a turn of the students, and at the end of one of the teacher."""
    methods = {n: with_teacher(row, alternation=TURNS) for n, row in ONLINE.items() if n != "fesd"}
    plan = tiny_plan(tmp_path, methods=methods, budget={"steps": 2, "batch": 1}, **UNPAIRED)
    cells = list(by_method(plan).values())
    whole, halved = Store(tmp_path / "whole"), Store(tmp_path / "halved")
    train_together(cells, plan, whole)
    with pytest.raises(Interrupted):
        train_together(cells, plan, halved, stop=stop_after(killed))
    train_together(cells, plan, halved)
    for cell in cells:
        assert weights(halved, cell) == weights(whole, cell), cell.method
        assert losses(halved, cell) == losses(whole, cell)


# two teachers


def two(**more: Any) -> dict[str, Any]:
    return with_teacher(ONLINE["omgd"], deeper=DEEPER, **more)


@pytest.mark.parametrize("shared", [0, 3, 5])
@pytest.mark.parametrize("order", ["discriminator first", "simultaneous"])
def test_two_teachers_end_with_the_same_bits_after_a_kill(
    tmp_path: Path, shared: int, order: str
) -> None:
    row = with_teacher(ONLINE["omgd"], deeper={**DEEPER, "shared": shared})
    plan = tiny_plan(tmp_path, methods={"omgd": row}, task={"order": order})
    (cell,) = by_method(plan).values()
    whole, halved = Store(tmp_path / "whole"), Store(tmp_path / "halved")
    train_together([cell], plan, whole)
    with pytest.raises(Interrupted):
        train_together([cell], plan, halved, stop=stop_after(2))
    train_together([cell], plan, halved)
    assert weights(halved, cell) == weights(whole, cell)
    assert losses(halved, cell) == losses(whole, cell)
    kept, _ = checkpoint.load(whole.checkpoint(cell.key))
    judged = {n.split(".")[4] for n in kept if n.startswith("deeper.discriminator.")}
    layers = {0: ["0", "2", "3", "5", "6", "8", "9", "11"], 3: ["8", "9", "11"], 5: []}[shared]
    assert judged == set(layers)  # what is shared is the first teacher's


def test_both_teachers_move_by_games_of_their_own_and_the_student_by_both(tmp_path: Path) -> None:
    learner = Learner(cell := one(tmp_path, two()), CPU, None)
    assert learner.deeper is not None
    start = {n: p.clone() for n, p in learner.networks().items() if n.endswith("weight")}
    found = learner.update(0, 1e-3, Batches(cell, learner.task)[0], None)
    game = {"gan", "l1", "discriminator.AtoB"}
    teachers = {n.removeprefix("teacher.") for n in found if n.startswith("teacher.")}
    assert teachers == game | {f"deeper.{name}" for name in game}
    assert {n for n in found if n.startswith("omgd.")} == {"omgd.ssim", "omgd.tv", "omgd.channels"}
    moved = learner.networks()
    assert not any(torch.equal(moved[n], p) for n, p in start.items())
    alone = Learner(one(tmp_path, ONLINE["omgd"]), CPU, None)
    (wide,) = (alone.update(0, 1e-3, Batches(cell, learner.task)[0], None),)
    assert torch.equal(wide["omgd.channels"], found["omgd.channels"])
    assert torch.equal(found["omgd.tv"], 2 * wide["omgd.tv"])
    assert found["omgd.ssim"] > wide["omgd.ssim"]


def test_a_cell_with_two_teachers_has_a_key_of_its_own_and_knows_its_sources(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, methods={"alone": ONLINE["omgd"], "two": two()})
    alone, both = by_method(plan).values()
    assert "deeper" not in alone.canonical
    assert '"deeper":{"nets":{' in both.canonical
    assert len({alone.key, both.key, one(tmp_path, two(width=3)).key}) == 3
    assert set(both.sources()) - set(alone.sources()) == {"network deep_unet"}
    assert len(cohorts([alone, both])) == 1  # they see the same batches
    assert plan.recipe(both) == f"{plan.recipe(alone)}, two teachers"


def test_a_suite_says_it_once_for_all_rows_that_have_a_use_for_it(tmp_path: Path) -> None:
    teacher = {"width": 4, "budget": {"steps": 2}, "deeper": DEEPER, "alternation": TURNS}
    plan = tiny_plan(tmp_path, methods={**ONLINE, "hinton": {}}, teacher=teacher)
    cells = by_method(plan)
    assert {n for n, c in cells.items() if c.deeper} == {"omgd"}
    assert {n for n, c in cells.items() if c.alternation} == set(ONLINE)
    assert plan.suite.told["teacher"]["alternation"] == TURNS
    assert not {"deeper", "alternation"} & set(tiny_plan(tmp_path).suite.told["teacher"])


def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    omgd, hinton = ONLINE["omgd"], {"method": "hinton"}
    turns = "methods.only.teacher: alternation: is for the mode online; this teacher is frozen."
    assert fault(tmp_path, with_teacher(hinton, alternation=TURNS)).endswith(turns)
    single = "methods.only.teacher: deeper: dcd learns from one teacher."
    assert fault(tmp_path, with_teacher(ONLINE["dcd"], deeper=DEEPER)).endswith(single)
    many = with_teacher(omgd, deeper={**DEEPER, "shared": 6})
    assert "deeper.shared: a discriminator has 5 convolutions to share, not 6" in fault(
        tmp_path, many
    )
    unknown = with_teacher(omgd, deeper={**DEEPER, "architecture": "deep_unit"})
    assert "Did you mean 'deep_unet'?" in fault(tmp_path, unknown)
    none = with_teacher(omgd, alternation={"teacher": 0, "students": 4})
    assert "teacher: alternation.teacher: should be greater than 0" in fault(tmp_path, none)
    for name, value in (("alternation", TURNS), ("deeper", DEEPER)):
        said = f"teacher.{name}: no method of the suite has one."
        assert fault(tmp_path, hinton, teacher={"width": 4, name: value}).endswith(said)
