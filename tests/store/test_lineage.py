"""Who learnt from weights that their teacher has no more is named wherever their numbers stand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny import by_method, tiny_plan, write_suite

from bench.cli.main import main
from bench.plan.matrix import Plan
from bench.run.verify import verify
from bench.store.layout import Store
from bench.store.lineage import Lineage, caveat, strangers
from bench.train import checkpoint

METHODS = {"methods": {"none": {}, "hinton": {}}, "seeds": [0, 1]}


def command(folder: Path, verb: str, *arguments: str) -> Result:
    where = [str(folder / "tiny.yaml"), "--store", str(folder / "runs"), *arguments]
    return CliRunner().invoke(main, [verb, *where])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_suite(folder, **METHODS)
    assert command(folder, "run", "--jobs", "1", "--mlflow", "none").exit_code == 0
    return folder


def trained_anew(store: Store, key: str) -> None:
    """Let a teacher have other weights, as from another kind of processor."""
    tensors, notes = checkpoint.load(store.checkpoint(key))
    tensors = {name: tensor + 1e-3 for name, tensor in tensors.items()}
    checkpoint.save(store.checkpoint(key), tensors, notes)
    end = store.read(key, "end.json")
    store.write(key, "end.json", end | {"weights": checkpoint.digest(tensors)})


def learners(plan: Plan) -> list[str]:
    """Return the keys of the students that have a teacher."""
    return [entry.cell.key for entry in plan.students if entry.cell and entry.cell.teacher]


def copied(trained: Path, folder: Path) -> tuple[Plan, Store]:
    plan = tiny_plan(folder, **METHODS)
    shutil.copytree(trained / "runs", folder / "runs")
    return plan, Store(folder / "runs")


def test_every_command_names_who_learnt_from_weights_that_are_gone(
    trained: Path, tmp_path: Path
) -> None:
    plan, store = copied(trained, tmp_path)
    teacher, students = by_method(plan)["hinton"].teacher, learners(plan)
    said = f"learnt from other weights of its teacher {teacher} than it has now"
    named = ", ".join(students)
    everywhere = f"2 cells learnt from a teacher that has other weights now: {named}."

    def told() -> dict[str, str]:
        """Return what each command says, page and tables of the report together."""
        versus = ["--to", "none", "--suite", str(plan.suite.path), "--store", str(store.root)]
        out = tmp_path / "report"
        assert command(tmp_path, "report", "--out", str(out), "--mlflow", "none").exit_code == 0
        tables = [*out.glob("tables/results*.md"), *out.glob("tables/results*.notes.tex")]
        again = command(tmp_path, "run", "--mlflow", "none")
        assert (again.exit_code, "0 trained" in again.stdout) == (0, True)
        return {
            "plan": command(tmp_path, "plan").stdout,
            "status": command(tmp_path, "status").stdout,
            "run": again.stderr,
            "page": (out / "index.html").read_text(),
            "status of cells": (out / "tables" / "status.csv").read_text(),
            **{path.name: path.read_text() for path in tables},
            "answers": (out / "answers.md").read_text(),
            "compare": CliRunner().invoke(main, ["compare", "hinton", *versus]).stdout,
        }

    before = told()
    assert {"results.md", "results.notes.tex"} <= before.keys()
    assert [where for where, text in before.items() if said in text or everywhere in text] == []
    trained_anew(store, teacher)
    after = {where: " ".join(text.split()) for where, text in told().items()}
    by_cell = ("plan", "status", "status of cells")
    assert [where for where in by_cell if said not in after[where]] == []
    assert [where for where in after.keys() - set(by_cell) if everywhere not in after[where]] == []
    assert f"Deleted from {store.root / 'cells'}, they are trained again" in after["run"]
    versus = ["compare", "hinton", "--to", "none", "--suite", str(plan.suite.path), "--json"]
    found = CliRunner().invoke(main, [*versus, "--store", str(store.root)])
    assert json.loads(found.stdout)["caveats"] == [everywhere]


def test_gate_says_so_under_its_verdict(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    cell = by_method(plan)["hinton"]
    against = ["--against", str(tmp_path / "accepted.json")]
    accepted = command(tmp_path, "gate", *against, "--accept")
    assert accepted.exit_code == 0, accepted.output
    assert "learnt from" not in command(tmp_path, "gate", *against).stdout
    trained_anew(store, cell.teacher)
    assert (
        f"weights now: {', '.join(learners(plan))}." in command(tmp_path, "gate", *against).stdout
    )


def test_verify_says_why_a_student_cannot_be_repeated(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    cell = by_method(plan)["hinton"]
    end, teacher = store.read(cell.key, "end.json"), {cell.teacher: plan.cells[cell.teacher]}
    assert verify(cell, teacher, store, end, "cpu").same
    trained_anew(store, cell.teacher)
    verdict = verify(cell, teacher, store, end, "cpu")
    assert not verdict.same
    said = f"learnt from other weights of its teacher {cell.teacher} than it has now"
    assert verdict.explanation == said


def test_a_student_that_is_trained_again_is_no_stranger(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    cell = by_method(plan)["hinton"]
    trained_anew(store, cell.teacher)
    assert strangers(store, plan.cells) == learners(plan)
    for key in learners(plan):
        shutil.rmtree(store.folder(key))
    again = command(tmp_path, "run", "--jobs", "1", "--mlflow", "none")
    assert (again.exit_code, "learnt from" in again.stderr) == (0, False)
    assert strangers(store, plan.cells) == []


def test_what_is_not_known_is_not_held_against_a_cell(tmp_path: Path) -> None:
    store, teacher = Store(tmp_path), "0123456789ab"
    store.write(teacher, "end.json", {"status": "done", "weights": "a" * 64})
    (tmp_path / "end.json").write_text('{"weights": "other"}')
    lineage = Lineage(store)
    assert lineage.lost_teacher({"taught_by": {teacher: "b" * 64}}) == teacher
    for taught_by in ({teacher: "a" * 64}, {teacher: ""}, {"1" * 12: "b" * 64}, {}, [], None):
        assert lineage.lost_teacher({"taught_by": taught_by}) == ""
    assert lineage.lost_teacher({"taught_by": {"..": "b" * 64}}) == ""  # leaves the store
    assert lineage.lost_teacher({}) == ""


def test_a_sentence_names_the_first_few() -> None:
    said = "7 cells learnt from a teacher that has other weights now: 0, 1, 2, 3, 4 and 2 more."
    assert caveat(list("0123456")) == said
    assert caveat(["0"]) == "1 cell learnt from a teacher that has other weights now: 0."
