"""What changed on disk is found when it is opened, named, and made again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Runs
from safetensors import safe_open
from safetensors.torch import save_file
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench.errors import Damaged, Interrupted
from bench.evaluate.feed import evaluate
from bench.plan.matrix import Plan
from bench.store.layout import Store
from bench.train import checkpoint, resume
from bench.train.loop import open_teacher

CPU = torch.device("cpu")


def flip(path: Path, place: float) -> None:
    """Flip one bit at a place from 0, the first byte of the tensors, to 1, the last."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + int(place * (len(data) - 1 - start))] ^= 1 << 3
    path.write_bytes(data)


def without_digest(path: Path) -> None:
    """Write a file as it was written before there were digests."""
    with safe_open(path, framework="pt") as file:
        notes = json.loads(file.metadata()[checkpoint.NOTES])
        del notes["digest"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, notes)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Plan, Store]:
    plan = tiny_plan(tmp_path, methods=["none", "hinton"], metrics=["psnr"])
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    train_together([by_method(plan)["none"]], plan, store)
    return plan, store


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_any_bit_of_a_file_of_tensors_is_noticed(tmp_path: Path, place: float) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.randn(5, 7), "b": torch.tensor(3)}, {"key": "k"})
    flip(path, place)
    with pytest.raises(Damaged, match=r"x.safetensors: damaged"):
        checkpoint.load(path)


def test_a_changed_note_type_or_shape_is_noticed(tmp_path: Path) -> None:
    """The bytes of the tensors are the same in all of these."""
    path, rng = tmp_path / "x.safetensors", random.Random(0)
    checkpoint.save(path, {"a": torch.ones(4, 2)}, {"key": "k"})
    whole = path.read_bytes()
    note = b'\\"key\\": \\"'
    for old, new in ((note + b"k", note + b"q"), (b"F32", b"I32"), (b"[4,2]", b"[2,4]")):
        assert whole.count(old) == 1
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(Damaged):
            checkpoint.load(path)
    for _ in range(20):
        path.write_bytes(whole[: rng.randrange(len(whole))])
        with pytest.raises(Damaged, match="cannot be read"):
            checkpoint.load(path)


def test_a_file_without_a_digest_is_taken_once_and_gets_one(tmp_path: Path) -> None:
    path, said = tmp_path / "x.safetensors", list[str]()
    checkpoint.save(path, {"a": torch.ones(3)}, {"key": "k"})
    whole = path.read_bytes()
    without_digest(path)
    for _ in range(2):
        tensors, notes = checkpoint.load(path, said.append)
        assert torch.equal(tensors["a"], torch.ones(3))
        assert notes == {"key": "k"}
    assert len(said) == 1
    assert "had no digest" in said[0]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["flipped", "gone", "another's", "replaced"])
def test_a_damaged_teacher_teaches_nobody_and_is_trained_again(
    trained: tuple[Plan, Store], kind: str
) -> None:
    """`replaced` is a whole file by its own digest, with other weights in it."""
    plan, store = trained
    student = by_method(plan)["hinton"]
    path = store.checkpoint(student.teacher)
    before = path.read_bytes()
    if kind == "flipped":
        flip(path, 0.5)
    elif kind == "gone":
        path.unlink()
    elif kind == "another's":
        shutil.copy(store.checkpoint(by_method(plan)["none"].key), path)
    else:
        tensors, notes = checkpoint.load(path)
        checkpoint.save(path, {n: x + 1 for n, x in tensors.items()}, notes)
    teacher = plan.cells[student.teacher]
    with pytest.raises(Damaged, match=f"trains cell {teacher.key} again") as caught:
        open_teacher(teacher, store, CPU)
    assert str(path) in str(caught.value)
    assert store.state(teacher.key).status == "failed"
    train_teachers(plan, store)
    assert path.read_bytes() == before


def test_a_damaged_student_is_not_scored_and_loses_its_scores(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    cell = by_method(plan)["none"]
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    (score,) = store.scores(cell.key).values()
    flip(store.checkpoint(cell.key), 0.2)
    other = tiny_plan(plan.suite.path.parent, methods=["none"], metrics=["psnr", "ssim"])
    with pytest.raises(Damaged, match=r"checkpoint.safetensors: damaged"):
        evaluate(cell, store, other.metrics, CPU)
    assert store.scores(cell.key) == {}
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    (again,) = store.scores(cell.key).values()
    assert again["values"] == score["values"]


def stopped(folder: Path, **changes: Any) -> tuple[Plan, Store, Path]:
    """Return a cell that was stopped half-way, and its resume file."""
    plan = tiny_plan(folder, methods=["none"], budget={"steps": 20, "batch": 1}, **changes)
    store, (cell,) = Store(folder / "runs"), plan.cells.values()
    count = iter(range(100))
    with pytest.raises(Exception, match="stopped"):
        train_together([cell], plan, store, stop=lambda: next(count) == 8)
    return plan, store, store.resume(cell.key)


@pytest.mark.parametrize("kind", ["flipped", "cut", "foreign", "empty notes", "old notes"])
def test_a_resume_file_that_cannot_be_read_means_from_the_start_and_is_said(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    plan, store, _ = stopped(tmp_path / "whole")
    train_together(list(plan.cells.values()), plan, store)
    plan, store, path = stopped(tmp_path / "cut")
    (cell,) = plan.cells.values()
    tensors, _ = checkpoint.load(path)
    if kind == "flipped":
        flip(path, 0.6)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "foreign":
        checkpoint.save(path, {"x": torch.ones(1)}, {})
    else:
        member = "" if kind == "empty notes" else json.dumps({"step": 9, "pace": 1.0})
        checkpoint.save(path, tensors, {"member": member})
    events: list[Any] = []
    train_together([cell], plan, store, events)
    notes = [data["text"] for event, _, data in events if event == "note"]
    assert len(notes) == 1
    assert notes[0].startswith("starts again: ")
    assert str(path) in notes[0]
    assert store.state(cell.key).status == "done"
    whole = Store(tmp_path / "whole" / "runs")
    assert store.checkpoint(cell.key).read_bytes() == whole.checkpoint(cell.key).read_bytes()


@pytest.mark.parametrize("is_old", [False, True])
def test_a_resume_file_of_another_cell_means_from_the_start(tmp_path: Path, is_old: bool) -> None:
    """By its key; and by its shapes, where it was written before files held a key."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "wide").mkdir()
    plan, store, path = stopped(tmp_path / "mine")
    (cell,) = plan.cells.values()
    _, _, foreign = stopped(tmp_path / "wide", widths=[3])
    shutil.copy(foreign, path)
    if is_old:
        tensors, notes = checkpoint.load(path)
        save_file(tensors, path, {"member": notes["member"]})
    events: list[Any] = []
    train_together([cell], plan, store, events)
    notes_said = [data["text"] for event, _, data in events if event == "note"]
    assert notes_said[-1].startswith(f"starts again: {path}: ")
    assert store.state(cell.key).status == "done"
    assert len(notes_said) == 1 + is_old  # it got a digest before its shapes were seen


def test_a_student_that_was_cut_off_begins_anew_where_its_teacher_has_other_weights(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, methods={"hinton": {}}, budget={"steps": 30, "batch": 1})
    store, cell = Store(tmp_path / "runs"), by_method(plan)["hinton"]
    train_teachers(plan, store)
    taught_by = store.read(cell.teacher, "end.json")["weights"]

    def cut_off(after: int) -> int:
        count = iter(range(100))
        with pytest.raises(Interrupted):
            train_together([cell], plan, store, stop=lambda: next(count) == after - 1)
        return resume.load(store.resume(cell.key), cell.key)[1].step

    assert [cut_off(10), cut_off(5)] == [10, 15]
    assert store.read(cell.key, "spec.json")["taught_by"] == {cell.teacher: taught_by}
    tensors, notes = checkpoint.load(store.checkpoint(cell.teacher))
    name = next(iter(tensors))
    tensors[name] = tensors[name] + 1e-3
    checkpoint.save(store.checkpoint(cell.teacher), tensors, notes)
    end, now = store.read(cell.teacher, "end.json"), checkpoint.digest(tensors)
    store.write(cell.teacher, "end.json", end | {"weights": now})
    assert cut_off(4) == 4
    assert store.read(cell.key, "spec.json")["taught_by"] == {cell.teacher: now}


def test_run_and_verify_name_the_file_that_is_wrong_and_the_next_run_mends_it(
    tmp_path: Path,
) -> None:
    runs = Runs(tmp_path, methods=["none", "hinton"])
    assert runs("run", "--jobs", "1", "--mlflow", "none").returncode == 0
    before = runs.results()
    plan = tiny_plan(tmp_path, methods=["none", "hinton"])
    student = by_method(plan)["hinton"]
    flip(tmp_path / "runs" / "cells" / student.teacher / "checkpoint.safetensors", 0.4)
    verified = runs("verify")
    assert verified.returncode == 1
    lines = {line.split()[0]: line for line in verified.stdout.splitlines()}
    assert "DAMAGED" in lines[student.teacher]
    assert "DAMAGED" in lines[student.key]  # its teacher's file is blamed, not its own bits
    assert f"{student.teacher}/checkpoint.safetensors" in lines[student.key]
    assert "same bits" in lines[by_method(plan)["none"].key]
    shutil.rmtree(tmp_path / "runs" / "cells" / student.key)
    hurt = runs("run", "--jobs", "1", "--mlflow", "none")
    assert hurt.returncode == 1
    assert f"trains cell {student.teacher} again" in hurt.stderr
    mended = runs("run", "--jobs", "1", "--mlflow", "none")
    assert mended.returncode == 0, mended.stderr
    assert runs.results() == before
