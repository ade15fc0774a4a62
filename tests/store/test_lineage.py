"""Who learnt from weights that their teacher has no more is named wherever a suite's numbers are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny import tiny_plan, write_suite

from bench.cli.main import main
from bench.contracts import shared_batches
from bench.plan.matrix import Plan
from bench.report.publish import collect
from bench.store.layout import Store
from bench.store.lineage import Lineage, caveat, changed_teachers
from bench.track.headline import _description
from bench.train import checkpoint

METHODS: dict[str, Any] = {"methods": {"none": {}, "hinton": {}}, "seeds": [0, 1]}
ASSISTED: dict[str, Any] = {
    "methods": {
        "hinton": {},
        "takd": {"method": "hinton", "teacher": {"mode": "assistant", "assistant_width": 3}},
    },
    "teacher": {"width": 8, "budget": {"steps": 2}},
    "budget": {"steps": 2, "batch": 1},
}
TEACHER = "0123456789ab"


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


def teacher_of(plan: Plan) -> str:
    (found,) = {entry.cell.teacher for entry in plan.students if entry.cell} - {""}
    return found


def copied(trained: Path, folder: Path) -> tuple[Plan, Store]:
    plan = tiny_plan(folder, **METHODS)
    shutil.copytree(trained / "runs", folder / "runs")
    return plan, Store(folder / "runs")


def test_every_command_names_who_learnt_from_weights_that_are_gone(
    trained: Path, tmp_path: Path
) -> None:
    plan, store = copied(trained, tmp_path)
    teacher, students = teacher_of(plan), learners(plan)
    said = f"learnt from other weights of teacher {teacher} than it has now"
    named = ", ".join(students)
    everywhere = f"2 cells of this suite learnt from a teacher that has other weights now: {named}."

    def told() -> dict[str, str]:
        """Return what each command says, page, tables and figures of the report among them."""
        versus = ["--to", "none", "--suite", str(plan.suite.path), "--store", str(store.root)]
        out = tmp_path / "report"
        assert command(tmp_path, "report", "--out", str(out), "--mlflow", "none").exit_code == 0
        files = [*out.glob("tables/results*.md"), *out.glob("tables/results*.notes.tex")]
        files += out.glob("figures/samples*.notes.tex")
        again = command(tmp_path, "run", "--mlflow", "none")
        assert (again.exit_code, "0 trained" in again.stdout) == (0, True)
        return {
            "plan": command(tmp_path, "plan").stdout,
            "status": command(tmp_path, "status").stdout,
            "run": again.stderr,
            "page": (out / "index.html").read_text(),
            "status of cells": (out / "tables" / "status.csv").read_text(),
            **{path.name: path.read_text() for path in files},
            "answers": (out / "answers.md").read_text(),
            "compare": CliRunner().invoke(main, ["compare", "hinton", *versus]).stdout,
            "MLflow": _description(plan, store),
        }

    before = told()
    assert {"results.md", "results.notes.tex"} < before.keys()
    assert any(name.startswith("samples") for name in before)
    assert [where for where, text in before.items() if said in text or everywhere in text] == []
    trained_anew(store, teacher)
    after = {where: " ".join(text.split()) for where, text in told().items()}
    by_cell = ("plan", "status", "status of cells")
    assert [where for where in by_cell if after[where].count(said) != len(students)] == []
    assert [where for where in after.keys() - set(by_cell) if everywhere not in after[where]] == []
    assert f"Delete their folders in {store.root / 'cells'}" in after["run"]
    assert after["status"].endswith("; 2 learnt from a teacher that has other weights now")
    versus = ["compare", "hinton", "--to", "none", "--suite", str(plan.suite.path), "--json"]
    found = CliRunner().invoke(main, [*versus, "--store", str(store.root)])
    assert json.loads(found.stdout)["caveats"] == [everywhere]
    cells = json.loads(command(tmp_path, "status", "--json").stdout)["cells"]
    assert {c["key"]: c["changed_teacher"] for c in cells if c["changed_teacher"]} == dict.fromkeys(
        students, teacher
    )


def test_it_is_said_beside_whatever_else_there_is_to_say_of_a_cell(
    trained: Path, tmp_path: Path
) -> None:
    plan, store = copied(trained, tmp_path)
    untrained, bare = learners(plan)
    end = store.read(untrained, "end.json")
    store.write(untrained, "end.json", end | {"facts": {"AtoB": {"hinton": {"untrained": "idle"}}}})
    (store.folder(bare) / "scores.json").unlink()
    trained_anew(store, teacher_of(plan))
    said = f"learnt from other weights of teacher {teacher_of(plan)} than it has now"
    lines = command(tmp_path, "status").stdout.splitlines()
    of = {key: next(line for line in lines if line.startswith(key)) for key in (untrained, bare)}
    assert of[untrained].endswith(f"not trained: idle; {said}")
    assert of[bare].endswith(f"{said}; some scores are missing")
    (line,) = [x for x in command(tmp_path, "plan").stdout.splitlines() if x.startswith(bare)]
    assert line.endswith(f"{said}; to be scored")
    store.write(untrained, "end.json", {"status": "diverged", "step": 2, "reason": ""})
    (line,) = [x for x in command(tmp_path, "plan").stdout.splitlines() if x.startswith(untrained)]
    assert line.endswith(f"step 2; {said}")
    spec = store.read(bare, "spec.json")
    store.write(bare, "spec.json", spec | {"sources": dict.fromkeys(spec["sources"], "other")})
    (line,) = [x for x in command(tmp_path, "plan").stdout.splitlines() if x.startswith(bare)]
    assert f"{said}; changed since, at the same version: " in line


def test_gate_says_so_under_its_verdict_and_when_it_accepts(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    against = ["--against", str(tmp_path / "accepted.json")]
    said = f"has other weights now: {', '.join(learners(plan))}."
    accepted = command(tmp_path, "gate", *against, "--accept")
    assert (accepted.exit_code, said in accepted.stderr) == (0, False)
    assert said not in command(tmp_path, "gate", *against).stdout
    trained_anew(store, teacher_of(plan))
    judged = command(tmp_path, "gate", *against)
    assert (judged.exit_code, said in " ".join(judged.stdout.split())) == (0, True)
    assert said in command(tmp_path, "gate", *against, "--accept").stderr


def test_shared_batches_and_a_changed_teacher_are_both_said(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, **METHODS, batches="shared")
    store = Store(tmp_path / "runs")
    assert command(tmp_path, "run", "--jobs", "1", "--mlflow", "none").exit_code == 0
    trained_anew(store, teacher_of(plan))
    caveats = [shared_batches.SAID, caveat(learners(plan))]
    assert collect(plan, store).caveats == caveats
    against = ["--against", str(tmp_path / "accepted.json")]
    command(tmp_path, "gate", *against, "--accept")
    judged = " ".join(command(tmp_path, "gate", *against).stdout.split())
    out = tmp_path / "report"
    command(tmp_path, "report", "--out", str(out), "--mlflow", "none")
    for said in caveats:
        assert said in judged
        assert said in (out / "answers.md").read_text()


def test_verify_says_why_bits_differ_by_the_spec_that_it_compares_with(
    trained: Path, tmp_path: Path
) -> None:
    plan, store = copied(trained, tmp_path)
    out = tmp_path / "report"
    command(tmp_path, "report", "--out", str(out), "--mlflow", "none")
    bundle = ["--only", "method=hinton", "--bundle", str(out / "bundle.json")]
    assert command(tmp_path, "verify", *bundle).exit_code == 0
    trained_anew(store, teacher_of(plan))
    said = f"(learnt from other weights of teacher {teacher_of(plan)} than it has now)"
    for key in learners(plan):
        shutil.rmtree(store.folder(key))
    assert command(tmp_path, "run", "--jobs", "1", "--mlflow", "none").exit_code == 0
    anew = command(tmp_path, "verify", "--only", "method=hinton")
    assert (anew.exit_code, said in anew.stdout) == (0, False)
    before = command(tmp_path, "verify", *bundle)
    assert (before.exit_code, before.stdout.count(said)) == (1, 2)


def test_a_student_that_is_trained_again_is_named_no_more(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    teacher = teacher_of(plan)
    trained_anew(store, teacher)
    assert changed_teachers(store, plan.cells) == dict.fromkeys(learners(plan), teacher)
    first, second = learners(plan)
    store.fail(first, "killed")  # it begins anew by itself
    assert changed_teachers(store, plan.cells) == {second: teacher}
    shutil.rmtree(store.folder(second))
    again = command(tmp_path, "run", "--jobs", "1", "--mlflow", "none")
    assert (again.exit_code, "learnt from" in again.stderr) == (0, False)
    assert changed_teachers(store, plan.cells) == {}


def test_who_learnt_from_an_assistant_is_named_when_the_teacher_above_changed(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, **ASSISTED)
    store = Store(tmp_path / "runs")
    assert command(tmp_path, "run", "--jobs", "1", "--mlflow", "none").exit_code == 0
    (above,) = [entry.cell.key for entry in plan.entries if entry.role == "teacher" and entry.cell]
    (between,) = [e.cell.key for e in plan.entries if e.role == "assistant" and e.cell]
    assert changed_teachers(store, plan.cells) == {}
    trained_anew(store, above)
    expected = dict.fromkeys([between, *learners(plan)], above)
    assert changed_teachers(store, plan.cells) == expected


def test_trials_that_chose_what_stands_in_the_tables_are_named_too(tmp_path: Path) -> None:
    tuned = {"methods": {"hinton": {}}, "tune": {"trials": 2, "by": "psnr", "seeds": [7]}}
    plan, store = tiny_plan(tmp_path, **tuned), Store(tmp_path / "runs")
    assert plan.trials is not None
    trials = [entry.cell for entry in plan.trials.entries if entry.role == "trial" and entry.cell]
    for key, cell in plan.every_cell.items():
        store.write(key, "end.json", {"status": "done", "weights": "a"})
        if cell in trials:
            learnt = {"cell": {"teacher": cell.teacher}, "taught_by": {cell.teacher: "b"}}
            store.write(key, "spec.json", learnt)
    assert len(trials) == 2
    assert collect(plan, store).caveats == [caveat([cell.key for cell in trials])]


def test_a_spec_that_cannot_be_read_stops_no_command(trained: Path, tmp_path: Path) -> None:
    plan, store = copied(trained, tmp_path)
    trained_anew(store, teacher_of(plan))
    damaged, whole = learners(plan)
    (store.folder(damaged) / "spec.json").write_text("{")
    for verb in ("status", "run"):
        done = command(tmp_path, verb, *(["--mlflow", "none"] if verb == "run" else []))
        assert (done.exit_code, whole in done.output) == (0, True)
    assert collect(plan, store).caveats == [caveat([whole])]


def test_what_is_not_known_is_not_held_against_a_cell(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(TEACHER, "end.json", {"status": "done", "weights": "a" * 16})
    (tmp_path / "end.json").write_text('{"weights": "other"}')

    def found(taught_by: object, teacher: object = TEACHER) -> str:
        spec = {"cell": {"teacher": teacher}, "taught_by": taught_by}
        return Lineage(store).changed_teacher(spec)

    assert found({TEACHER: "b" * 16}) == TEACHER
    other = "1" * 12
    for taught_by in ({TEACHER: "a" * 16}, {TEACHER: ""}, {other: "b"}, {}, [], None, "text"):
        assert found(taught_by) == ""
    for odd in (["b"], {}, 1, None):
        assert found({TEACHER: odd}) == ""
    assert found({other: "b" * 16}, other) == ""  # it has no weights now
    assert found({"..": "b" * 16}, "..") == ""  # leaves the store
    assert found({TEACHER: "b"}, [TEACHER]) == found({TEACHER: "b"}, None) == ""
    assert Lineage(store).changed_teacher({"taught_by": {TEACHER: "b"}}) == ""
    store.write(TEACHER, "end.json", {"status": "done", "weights": None})
    assert found({TEACHER: "b" * 16}) == ""


def test_who_is_said_to_teach_itself_is_looked_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    spec = {"cell": {"teacher": TEACHER}, "taught_by": {TEACHER: "a"}}
    store.write(TEACHER, "spec.json", spec)
    store.write(TEACHER, "end.json", {"status": "done", "weights": "a"})
    assert Lineage(store).changed_teacher(spec) == ""


def test_a_sentence_names_the_first_few() -> None:
    said = "7 cells of this suite learnt from a teacher that has other weights now: 0, 1, 2, 3, 4 "
    assert caveat(list("0123456")) == f"{said}and 2 more."
    assert caveat(["0"]) == (
        "1 cell of this suite learnt from a teacher that has other weights now: 0."
    )
