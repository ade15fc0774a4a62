"""The loop: lockstep, resume, divergence, failure, and every kind of teacher."""

from __future__ import annotations

import itertools
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import by_method, student_cells, tiny_plan, train_teachers, train_together, weights

from bench.contracts.distiller import Distiller
from bench.errors import Interrupted
from bench.evaluate.validation import validate
from bench.plan.cell import Cell
from bench.plan.matrix import Plan
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.checkpoint import digest
from bench.train.learner import Learner, open_task
from bench.train.loop import Cohort, open_teacher, train
from bench.train.player import below, layout

# At 64 px the U-Net has dropout: a step that drew from another random state would show.
METHODS = {"none": {}, "hinton": {}, "wkd": {}, "both": {"method": "hinton+wkd"}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_a_cell_in_a_cohort_ends_with_the_bits_it_has_alone(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path, methods=METHODS, widths=[2, 3], size=64)
    cells = [e.cell for e in plan.students]
    alone = Store(tmp_path / "alone")
    for place in (store, alone):
        train_teachers(plan, place)
    train_together(cells, plan, store)
    for cell in cells:
        train_together([cell], plan, alone)
        assert weights(store, cell) == weights(alone, cell), cell.method
        assert losses(store, cell) == losses(alone, cell)
    assert len({weights(store, cell) for cell in cells}) == len(cells)


@pytest.mark.parametrize("cut", [1, 3])
def test_a_run_cut_off_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, store: Store, cut: int
) -> None:
    plan = tiny_plan(tmp_path, methods=METHODS, size=64)
    whole = Store(tmp_path / "whole")
    for cell in cut_off_and_resumed(plan, store, whole, cut):
        assert weights(store, cell) == weights(whole, cell), cell.method
        assert losses(store, cell) == losses(whole, cell)
        assert (
            store.read(cell.key, "end.json")["digest"] == whole.read(cell.key, "end.json")["digest"]
        )


def test_what_a_method_prepared_is_prepared_once(tmp_path: Path, store: Store) -> None:
    """A student that starts from its teacher's channels does not start anew when it is resumed."""
    methods = {"full": {"method": "gan_compression", "recipe": "full"}, "pca_kd": {}}
    plan = tiny_plan(tmp_path, methods=methods)
    whole = Store(tmp_path / "whole")
    for cell in cut_off_and_resumed(plan, store, whole, 2):
        assert weights(store, cell) == weights(whole, cell), cell.method
        end, undisturbed = (place.read(cell.key, "end.json") for place in (store, whole))
        assert "environments" not in end  # it trained under one
        assert end.get("facts") == undisturbed.get("facts")


def test_a_cell_that_starts_again_is_started_whatever_it_was(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path, methods=["none"])
    (cell,) = by_method(plan).values()
    store.fail(cell.key, "no memory")
    with pytest.raises(Interrupted):
        train_together([cell], plan, store, stop=stop_after(1))
    assert store.state(cell.key).status == "started"


def test_a_cohorts_time_is_shared_out_and_not_counted_twice(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path, methods=METHODS)
    cells = list(by_method(plan).values())
    train_teachers(plan, store)
    started = time.perf_counter()
    train_together(cells, plan, store)
    elapsed = time.perf_counter() - started
    assert 0 < sum(store.read(cell.key, "end.json")["seconds"] for cell in cells) <= elapsed + 0.01


def test_unpaired_runs_resume_with_their_image_pools(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(
        tmp_path,
        datasets=["grass2brick"],
        architectures=["resnet9"],
        methods={"wkd": {}},
        task={"pool": 2},
        budget={"steps": 8, "batch": 1},
    )
    (cell,) = by_method(plan).values()
    whole = Store(tmp_path / "whole")
    for place in (store, whole):
        train_teachers(plan, place)
    train_together([cell], plan, whole)
    with pytest.raises(Interrupted):
        train_together([cell], plan, store, stop=stop_after(5))
    train_together([cell], plan, store)
    assert weights(store, cell) == weights(whole, cell)


def test_members_at_different_steps_meet(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path)
    cells = by_method(plan)
    whole = Store(tmp_path / "whole")
    for place in (store, whole):
        train_teachers(plan, place)
    train_together(list(cells.values()), plan, whole)
    with pytest.raises(Interrupted):
        train_together([cells["wkd"]], plan, store, stop=stop_after(2))
    train_together(list(cells.values()), plan, store)
    for cell in cells.values():
        assert weights(store, cell) == weights(whole, cell)


def test_methods_start_from_the_same_student_and_see_the_same_batches(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}, "strong": {"method": "wkd", "weight": 9.0}})
    device = torch.device("cpu")
    learners = [Learner(cell, device, None) for cell in by_method(plan).values()]
    first, second = (learner.students[0].networks() for learner in learners)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    cells = list(by_method(plan).values())
    assert cells[0].batches == cells[1].batches
    assert cells[0].seed_for("noise", 3) == cells[1].seed_for("noise", 3)


def test_first_weights_depend_on_the_cell_alone_and_are_the_original_codes(tmp_path: Path) -> None:
    """Not on what was drawn before; weights of all networks and adapters are N(0, 0.02)."""
    methods = {"gan_compression": {}, "omgd": {"lambda_style": 0.0, "lambda_feature": 0.0}}
    plan = tiny_plan(tmp_path, methods=methods, widths=[16], discriminator_widths=[16])
    for cell in by_method(plan).values():
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            found.append(Learner(cell, torch.device("cpu"), None).networks())
        assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
        kernels = {name: x for name, x in found[0].items() if x.ndim == 4}
        assert {name.split(".")[0] for name in kernels} >= {"student0", "distiller0"}
        for name, x in kernels.items():
            assert x.std().item() == pytest.approx(0.02, rel=5 / x.numel() ** 0.5), name
        other = replace(cell, seed=1)
        again = Learner(other, torch.device("cpu"), None).networks()
        assert not any(torch.equal(found[0][name], again[name]) for name in kernels)


def test_a_digest_is_of_names_and_bits() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    assert digest(weights) == digest(dict(reversed(weights.items())))
    others = [
        {"a": torch.tensor([1.0, 2.0]), "c": torch.tensor([3.0])},
        {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0000002])},
        {"a": torch.tensor([1.0, 2.0])},
    ]
    found = {digest(weights), *map(digest, others)}
    assert len(found) == 4
    assert all(len(text) == 16 and set(text) <= set("0123456789abcdef") for text in found)


def test_a_frozen_teacher_keeps_its_bits_and_is_in_evaluation_mode(
    tmp_path: Path, store: Store
) -> None:
    """In training mode it would drop out at random, and batch norm would drift with each batch."""
    plan = tiny_plan(tmp_path, size=64)
    train_teachers(plan, store)
    cell = by_method(plan)["wkd"]
    teacher = open_teacher(plan.cells[cell.teacher], store, torch.device("cpu"))
    before = digest(teacher.networks())
    learner = Learner(cell, torch.device("cpu"), teacher)
    for step in range(2):
        batch = Batches(cell, open_task(cell))[step]
        outputs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            with torch.no_grad():
                taught = teacher.forward(batch, learner.hints)
            outputs.append(taught["AtoB"].output)
        assert torch.equal(*outputs)
        learner.update(step, 1e-3, batch, taught)
    assert digest(teacher.networks()) == before
    assert not any(module.training for module in teacher.modules.modules())


class Curious(Distiller):
    """It draws at random before the first step, and runs both networks."""

    def prepare(self, student: Any, teacher: Any, inputs: Any) -> None:
        self.drawn = torch.randn(3)
        for batch in inputs:
            student.generator(*batch)
            teacher.generator(*batch)

    def terms(self, student: Any, teacher: Any) -> dict[str, torch.Tensor]:
        return {"drawn": student.output.mean() * self.drawn.sum()}


def test_a_preparation_draws_the_same_each_time_and_moves_no_statistics(
    tmp_path: Path, store: Store
) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}, "mine": {"method": "test_train:Curious"}})
    cells = by_method(plan)
    train_teachers(plan, store)
    mine = cells["mine"]
    teacher = open_teacher(plan.cells[mine.teacher], store, torch.device("cpu"))
    learner = Learner(mine, torch.device("cpu"), teacher)
    before = digest(learner.students[0].networks())
    batch = Batches(mine, open_task(mine))[0]["A"]
    learner.prepare({"AtoB": lambda: iter([(batch,)])})
    assert digest(learner.students[0].networks()) == before
    assert all(module.training for module in learner.students[0].modules.modules())
    torch.manual_seed(99)
    train_together(list(cells.values()), plan, store)
    alone = Store(tmp_path / "alone")
    train_teachers(plan, alone)
    train_together([mine], plan, alone)
    assert weights(store, mine) == weights(alone, mine)


def test_shapes_of_hints_are_found_once_for_all_cells_that_ask_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods=["gan_compression"], widths=[5], seeds=[0, 1, 2], size=64)
    built: list[Any] = []
    kind: Any = student_cells(plan)[0].nets.architecture.load()
    example = kind.example
    monkeypatch.setattr(kind, "example", lambda self: built.append(self) or example(self))
    roles, more = ("down", "mid1", "mid2", "up"), ("mid1",)
    shapes = [layout(c.nets, c.size, 6, roles).hints for c in student_cells(plan)]
    assert len(built) == 1
    network = kind(5, 64, student_cells(plan)[0].nets.architecture.params).eval()
    _, found = network(*example(network), hints=roles)
    assert shapes == [{role: tuple(found[role].shape[1:]) for role in roles}] * 3
    assert set(layout(student_cells(plan)[0].nets, 64, 6, more).hints) == {"mid1"}


def test_a_damaged_resume_file_costs_its_own_cell_a_fresh_start_and_no_other(
    tmp_path: Path, store: Store
) -> None:
    plan = tiny_plan(tmp_path)
    cells = by_method(plan)
    whole = Store(tmp_path / "whole")
    for place in (store, whole):
        train_teachers(plan, place)
    train_together(list(cells.values()), plan, whole)
    with pytest.raises(Interrupted):
        train_together(list(cells.values()), plan, store, stop=stop_after(2))
    store.resume(cells["wkd"].key).write_bytes(b"garbage")
    heard: list[Any] = []
    train_together(list(cells.values()), plan, store, heard)
    assert [key for event, key, _ in heard if event == "note"] == [cells["wkd"].key]
    for cell in cells.values():
        assert weights(store, cell) == weights(whole, cell)


def test_an_online_teacher_learns_and_nothing_of_the_student_reaches_it(
    tmp_path: Path, store: Store
) -> None:
    teacher = {"mode": "online", "width": 4}
    methods = {name: {"method": name, "teacher": teacher} for name in ("hinton", "wkd")}
    plan = tiny_plan(tmp_path, methods=methods, teacher={"width": 4})
    cells = by_method(plan)
    train_together(list(cells.values()), plan, store)
    mentors = [
        below(checkpoint.load(store.checkpoint(cell.key))[0], "mentor") for cell in cells.values()
    ]
    assert all(torch.equal(mentors[0][name], mentors[1][name]) for name in mentors[0])
    start = below(Learner(cells["wkd"], torch.device("cpu"), None).networks(), "mentor")
    convolutions = [n for n in start if n.startswith("generator") and start[n].ndim == 4]
    assert convolutions
    assert not any(torch.equal(start[name], mentors[0][name]) for name in convolutions)
    assert "teacher.gan" in store.losses(cells["wkd"].key)[-1]["losses"]


def test_peers_teach_each_other_and_end_different(tmp_path: Path, store: Store) -> None:
    dml = {"method": "wkd", "teacher": {"mode": "peers", "peers": 3}}
    plan = tiny_plan(tmp_path, methods={"dml": dml})
    (cell,) = by_method(plan).values()
    assert (cell.peers, cell.teacher) == (3, "")
    train_together([cell], plan, store)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    peers = [below(tensors, f"student{i}") for i in range(3)]
    name = next(n for n in peers[0] if n.endswith("weight"))
    for a, b in itertools.combinations(peers, 2):
        assert not torch.equal(a[name], b[name])
    names = store.losses(cell.key)[-1]["losses"]
    assert {f"peer{i}.wkd.high" for i in range(3)} <= set(names)


def test_an_assistant_is_a_link_in_a_chain(tmp_path: Path, store: Store) -> None:
    takd = {"method": "hinton", "teacher": {"mode": "assistant", "assistant_width": 3}}
    plan = tiny_plan(tmp_path, methods={"takd": takd})
    (cell,) = by_method(plan).values()
    assistant = plan.cells[cell.teacher]
    assert assistant.nets.width == 3
    assert plan.cells[assistant.teacher].nets.width == 4
    train_teachers(plan, store)
    train_together([cell], plan, store)
    assert store.state(cell.key).status == "done"


def test_self_distillation_learns_from_its_own_kind(tmp_path: Path) -> None:
    same = {"method": "hinton", "teacher": {"mode": "same"}}
    plan = tiny_plan(tmp_path, methods={"none": {}, "self": same})
    cells = by_method(plan)
    assert cells["self"].teacher == cells["none"].key  # seed 0 trained alone is its teacher


class Explodes(Distiller):
    """Its loss is NaN from a given step on."""

    defaults = {"at": 3}

    def terms(self, student: Any, teacher: Any) -> dict[str, torch.Tensor]:
        self.calls = getattr(self, "calls", 0) + 1
        bad = math.nan if self.calls >= self.params["at"] else 0.0
        return {"nan": student.output.mean() * 0 + bad}


class Fails(Distiller):
    """It raises at its second step."""

    def terms(self, student: Any, teacher: Any) -> dict[str, torch.Tensor]:
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 2:
            raise ValueError("no kernel for this")
        return {"nothing": student.output.mean() * 0}


def test_a_loss_that_is_not_finite_ends_its_cell_at_that_step(tmp_path: Path, store: Store) -> None:
    methods = {"none": {}, "bad": {"method": "test_train:Explodes"}, "wkd": {}}
    plan = tiny_plan(tmp_path, methods=methods)
    cells = by_method(plan)
    train_teachers(plan, store)
    train_together(list(cells.values()), plan, store)
    assert str(store.state(cells["bad"].key)) == "diverged (step 3)"
    assert not store.checkpoint(cells["bad"].key).exists()
    assert store.state(cells["wkd"].key).status == "done"
    alone = Store(tmp_path / "alone")
    train_teachers(plan, alone)
    train_together([cells["wkd"]], plan, alone)
    assert weights(store, cells["wkd"]) == weights(alone, cells["wkd"])


def test_a_cell_that_fails_leaves_the_others_running(tmp_path: Path, store: Store) -> None:
    methods = {"none": {}, "bad": {"method": "test_train:Fails"}, "wkd": {}}
    plan = tiny_plan(tmp_path, methods=methods)
    cells = by_method(plan)
    train_teachers(plan, store)
    events: list[Any] = []
    train_together(list(cells.values()), plan, store, events)
    assert str(store.state(cells["bad"].key)) == "failed (ValueError: no kernel for this)"
    assert "no kernel for this" in (store.folder(cells["bad"].key) / "log").read_text()
    ended = {key: data for event, key, data in events if event == "ended"}
    assert ended[cells["bad"].key]["status"] == "failed"
    assert ended[cells["bad"].key]["reason"] == "ValueError: no kernel for this"
    assert {ended[cells[name].key]["status"] for name in ("none", "wkd")} == {"done"}
    assert store.state(cells["none"].key).status == store.state(cells["wkd"].key).status == "done"


def test_best_on_val_keeps_the_best_of_several_checkpoints(tmp_path: Path, store: Store) -> None:
    changes = {"methods": ["none"], "select": {"best_on_val": "psnr", "times": 4}}
    plan = tiny_plan(tmp_path, **changes)
    (cell,) = by_method(plan).values()
    scores = iter([1.0, 3.0, 2.0, 0.0])
    seen = []

    def look(learner: Learner) -> float:
        seen.append({n: x.clone() for n, x in learner.networks().items()})
        return next(scores)

    train_together([cell], plan, store, validate=look)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    assert len(seen) == 4
    assert all(torch.equal(tensors[n], seen[1][n]) for n in tensors)


def test_looking_at_the_validation_split_changes_no_step(tmp_path: Path) -> None:
    """At 64 px the U-Net has dropout and batch norms, which look in another mode than they train."""
    found = []
    for name, select in (("with", {"best_on_val": "psnr", "times": 2}), ("without", "last")):
        plan = tiny_plan(tmp_path, methods=["none"], size=64, select=select)
        (cell,) = by_method(plan).values()
        place = Store(tmp_path / name)
        train_together([cell], plan, place, validate=validate)
        found.append(losses(place, cell))
    assert found[0] == found[1]


def test_how_test_outputs_are_made_decides_no_checkpoint(tmp_path: Path) -> None:
    """`outputs` are no part of a cell's key, so they may not change what is the best on val."""
    found = {}
    for outputs in ({}, {"rounding": "truncated", "modes": ["batch statistics"]}):
        select = {"best_on_val": "psnr", "times": 2}
        plan = tiny_plan(tmp_path, methods=["none"], size=64, select=select, outputs=outputs)
        (cell,) = by_method(plan).values()
        found[cell.outputs["rounding"]] = validate(Learner(cell, torch.device("cpu"), None))
    assert found["rounded"] == found["truncated"]


def test_the_best_networks_so_far_survive_a_stop(tmp_path: Path, store: Store) -> None:
    """The best come before the stop, and all that follows is worse."""
    plan = tiny_plan(tmp_path, methods=["none"], select={"best_on_val": "psnr", "times": 4})
    (cell,) = by_method(plan).values()
    seen: list[dict[str, torch.Tensor]] = []

    def validate(learner: Learner) -> float:
        seen.append({n: x.clone() for n, x in learner.networks().items()})
        return -float(len(seen))

    with pytest.raises(Interrupted):
        train_together([cell], plan, store, validate=validate, stop=stop_after(2))
    stopped_at = len(seen)
    train_together([cell], plan, store, validate=validate)
    assert 1 <= stopped_at < len(seen) == 4
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    assert all(torch.equal(tensors[n], seen[0][n]) for n in tensors)


def test_what_several_peers_teach_is_averaged(tmp_path: Path) -> None:
    """A third peer does not teach louder: the terms are the mean over the two others."""
    peers = {"method": "hinton", "weight": 10.0, "teacher": {"mode": "peers", "peers": 3}}
    cell = by_method(tiny_plan(tmp_path, methods={"dml": peers}))["dml"]
    learner = Learner(cell, torch.device("cpu"), None)
    for student in learner.students:
        student.modules.eval()  # so that a second pass is the same
    batch = Batches(cell, open_task(cell))[0]
    images = [p.forward(batch, ())["AtoB"].output.detach() for p in learner.students]
    found = learner.update(0, 0.0, batch, None)
    for i in range(3):
        others = [10 * (images[i] - images[j]).abs().mean() for j in range(3) if j != i]
        torch.testing.assert_close(found[f"peer{i}.hinton.l1"], sum(others) / 2)


def test_a_selection_without_a_finite_score_is_a_failure_not_the_last_checkpoint(
    tmp_path: Path, store: Store
) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], select={"best_on_val": "psnr"})
    (cell,) = by_method(plan).values()
    train_together([cell], plan, store, validate=lambda learner: math.nan)
    assert "no score on the validation split was finite" in str(store.state(cell.key))


def test_a_run_resumed_under_other_flags_says_so(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path, methods=["none"])
    (cell,) = by_method(plan).values()
    with pytest.raises(Interrupted):
        train_together([cell], plan, store, stop=stop_after(2))
    train(
        Cohort(
            cells=[cell],
            teachers={},
            store=store,
            device=torch.device("cpu"),
            environment={"environment": {"threads": 2}, "provenance": ""},
            emit=lambda *_: None,
            stop=lambda: False,
        )
    )
    threads = [e["threads"] for e in store.read(cell.key, "end.json")["environments"]]
    assert threads == [1, 2]


def test_the_spec_is_there_before_the_first_step(tmp_path: Path, store: Store) -> None:
    plan = tiny_plan(tmp_path, methods=["none"])
    (cell,) = by_method(plan).values()
    with pytest.raises(Interrupted):
        train_together([cell], plan, store, stop=stop_after(1))
    spec = store.read(cell.key, "spec.json")
    assert spec["cell"] == json.loads(cell.canonical)
    assert spec["environment"]["threads"] == 1
    assert spec["sources"]["method none"]


def losses(store: Store, cell: Any) -> list[dict[str, float]]:
    return [record["losses"] for record in store.losses(cell.key)]


def cut_off_and_resumed(plan: Plan, store: Store, whole: Store, cut: int) -> list[Cell]:
    """Train a plan's cells undisturbed into `whole`, and cut off after some steps into `store`."""
    cells = list(by_method(plan).values())
    for place in (store, whole):
        train_teachers(plan, place)
    train_together(cells, plan, whole)
    with pytest.raises(Interrupted):
        train_together(cells, plan, store, stop=stop_after(cut))
    assert all(store.state(cell.key).status == "started" for cell in cells)
    train_together(cells, plan, store)
    return cells


def stop_after(steps: int) -> Any:
    """Return a flag that is raised after so many steps."""
    calls = itertools.count(1)
    return lambda: next(calls) >= steps
