"""Teachers and rows that exist already: read, scored and learnt from as if they were trained here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from tiny import SUITE, plan_without_adversary, somewhere, tiny_plan, write_suite

from bench.cli.main import main
from bench.contracts.kinds import NETWORK
from bench.contracts.network import Network
from bench.errors import DistillbenchError, SuiteError, WeightsError
from bench.fetch.naming import to_original
from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import load
from bench.report.rows import entry_rows, score_rows
from bench.run.machine import Machine
from bench.run.receive import read_weights
from bench.run.walk import is_finished, run
from bench.store.forms import Spec
from bench.store.layout import Store
from bench.train.trained import open_networks

FROM_FILE = {"weights": "G.pth", "width": 4}


def network(name: str, width: int, last: int, **params: Any) -> Network:
    """Return one with random weights; `last` is the image side, or a discriminator's channels."""
    part = NETWORK.part(name, params, name)
    made = part.load()(width, last, part.params)
    made.initialise()
    return made


def write(file: Path, made: Network) -> None:
    torch.save(to_original(made, made.state_dict()), file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    write(tmp_path / "G.pth", network("unet", 4, 32))
    write(tmp_path / "D.pth", network("patchgan", 2, 6, norm="batch"))
    for name in ("theirs", "theirs0", "theirs1"):
        write(tmp_path / f"{name}.pth", network("unet", 2, 32))
    for name in ("copy0", "copy1"):
        (tmp_path / f"{name}.pth").write_bytes((tmp_path / "theirs.pth").read_bytes())
    return tmp_path


def go(plan: Plan, store: Store, events: list[Any] | None = None) -> None:
    heard = events if events is not None else []
    machine = Machine(jobs=1)
    outcome = run(plan, store, machine, lambda e, k, d: heard.append((e, k, dict(d))))
    assert outcome.errors == []


def given(plan: Plan) -> list[Cell]:
    return [cell for cell in plan.cells.values() if cell.given]


def test_a_suite_with_a_teacher_and_rows_from_files(folder: Path) -> None:
    methods = {
        "none": {},
        "hinton": {},
        "dmad": {},
        "theirs": {"weights": "theirs.pth"},
        "seeds": {"weights": "theirs{seed}.pth", "width": 2},
    }
    teacher = FROM_FILE | {"discriminator": "D.pth", "discriminator_width": 2}
    plan = tiny_plan(
        folder, methods=methods, teacher=teacher, seeds=[0, 1], metrics=["psnr", "params"]
    )
    store, events = Store(folder / "runs"), []
    go(plan, store, events)
    assert all(is_finished(cell, plan, store) for cell in plan.cells.values())
    rows = list(entry_rows(plan, store))
    assert {row["status"] for row in rows} == {"done"}
    assert [(r["method"], r["seed"]) for r in rows if r["role"] == "given"] == [
        ("theirs", 0), ("seeds", 0), ("seeds", 1),
    ]  # fmt: skip
    (teacher_row,) = [row for row in rows if row["role"] == "teacher"]
    assert teacher_row["origin"].startswith("weights G.pth (sha256 ")
    assert [r["origin"] for r in rows if r["role"] == "student"] == [""] * 6
    assert not any(r["is_control"] for r in rows if r["origin"])
    # the file's own function is what the teacher does
    cell = plan.cells[teacher_row["key"]]
    mine = open_networks(store, cell.key)
    theirs = torch.load(folder / "G.pth", weights_only=True)
    outermost = mine["student0.generator.AtoB.downs.0.0.weight"]
    assert torch.equal(outermost, theirs["model.model.0.weight"])
    assert "student0.discriminator.AtoB.model.0.weight" in mine
    # protocols are the students', so that their scores can stand in one column
    scores = [row for row in score_rows(plan, store) if row["metric"] == "psnr"]
    assert len({row["protocol"] for row in scores}) == 1
    # what is done is not done again
    events.clear()
    go(plan, store, events)
    assert events == []


def test_students_learn_the_same_from_a_file_as_from_the_cell_that_it_came_from(
    folder: Path,
) -> None:
    """To the last bit: nothing but the key tells a student where its teacher is from."""
    trained = tiny_plan(folder, methods=["hinton", "dmad"], metrics=["psnr"])
    store = Store(folder / "runs")
    go(trained, store)
    (key,) = {entry.cell.teacher for entry in trained.students if entry.cell}
    state = open_networks(store, key)
    for name, file in (("generator", "G"), ("discriminator", "D")):
        made = network("unet", 4, 32) if file == "G" else network("patchgan", 2, 6, norm="batch")
        start = f"student0.{name}.AtoB."
        made.load_state_dict(
            {n.removeprefix(start): x for n, x in state.items() if n.startswith(start)}
        )
        write(folder / f"{file}.pth", made)
    from_file = tiny_plan(
        folder,
        methods=["hinton", "dmad"],
        metrics=["psnr"],
        teacher=FROM_FILE | {"discriminator": "D.pth"},
    )
    go(from_file, store)
    scores = {row["key"]: row["value"] for row in score_rows(from_file, store)}
    scores |= {row["key"]: row["value"] for row in score_rows(trained, store)}
    for before, after in zip(trained.entries, from_file.entries, strict=True):
        assert before.cell is not None
        assert after.cell is not None
        assert before.cell.key != after.cell.key
        ends = [store.read(cell.key, "end.json") for cell in (before.cell, after.cell)]
        assert ends[0]["weights"] == ends[1]["weights"]
        assert scores[before.cell.key] == scores[after.cell.key]


def test_a_students_folder_is_a_file_too(folder: Path) -> None:
    (folder / "exported").mkdir()
    made = network("unet", 4, 32)
    save_file(to_original(made, made.state_dict()), folder / "exported" / "model.safetensors")
    plan = tiny_plan(folder, methods=["hinton"], teacher={**FROM_FILE, "weights": "exported"})
    (cell,) = given(plan)
    fit = read_weights(cell)["generator.AtoB"]
    assert all(torch.equal(fit.state[name], x) for name, x in made.state_dict().items())


def test_damage_is_noticed_and_mended(folder: Path) -> None:
    plan = tiny_plan(folder, methods={"none": {}, "theirs": {"weights": "theirs.pth"}})
    store, (cell,) = Store(folder / "runs"), given(plan)
    go(plan, store)
    before = store.checkpoint(cell.key).read_bytes()
    store.checkpoint(cell.key).write_bytes(before[:-8] + bytes(8))
    with pytest.raises(DistillbenchError, match="damaged"):
        open_networks(store, cell.key)
    go(plan, store)
    assert store.checkpoint(cell.key).read_bytes() == before


def test_a_changed_file_is_another_cell(folder: Path) -> None:
    methods = {"none": {}, "theirs": {"weights": "theirs.pth"}}
    first = tiny_plan(folder, methods=methods)
    write(folder / "theirs.pth", network("unet", 2, 32))
    second = tiny_plan(folder, methods=methods)
    (old,), (new,) = given(first), given(second)
    assert old.key != new.key
    with pytest.raises(WeightsError, match="has changed since the suite was read"):
        read_weights(old)


def test_the_key_is_of_what_decides_the_scores(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "G.pth").write_bytes((folder / "G.pth").read_bytes())
    suites: list[dict[str, Any]] = [
        {"teacher": FROM_FILE},
        {"teacher": {**FROM_FILE, "seed": 3}},
        {"teacher": FROM_FILE, "budget": {"steps": 9, "batch": 1}},
        {"teacher": {**FROM_FILE, "weights": "elsewhere/G.pth"}},
        {"teacher": {**FROM_FILE, "weights": {"AtoB": "$TINY/G.pth"}}},
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY", str(folder))
        cells = [given(tiny_plan(folder, methods=["hinton"], **changes)) for changes in suites]
    assert len({cell.key for (cell,) in cells}) == 1
    (bare,) = given(tiny_plan(folder, methods=["hinton"], teacher=FROM_FILE, size=32))
    with_judge = {**FROM_FILE, "discriminator": "D.pth"}
    (judged,) = given(tiny_plan(folder, methods=["hinton"], teacher=with_judge))
    assert bare.key != judged.key
    spec = json.loads(bare.canonical)
    assert set(spec) == {"task", "dataset", "size", "nets", "methods", "numerics", "given"}
    assert set(spec["given"]) == {"kind", "sha256"}
    assert Spec.model_validate(bare.spec({})).taught_by == {}  # `merge` takes it


def test_a_suite_tells_of_files_only_where_it_has_some(folder: Path) -> None:
    assert set(tiny_plan(folder).suite.told["teacher"]) == {
        "width", "architecture", "discriminator_width", "seed", "budget", "mode",
        "assistant_width", "peers",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": {**FROM_FILE, "weights": "H.pth"}}, "H.pth: no such file"),
        ({"teacher": {**FROM_FILE, "weights": {"BtoA": "G.pth"}}}, "unknown direction 'BtoA'"),
        ({"teacher": {**FROM_FILE, "budget": {"steps": 3}}}, "budget is for a teacher that trains"),
        ({"teacher": {"width": 4, "discriminator": "D.pth"}}, "give both or neither"),
        (
            {"teacher": FROM_FILE, "datasets": ["photo_edges", "photo_textures"]},
            "teacher.weights: G.pth would teach photo_edges and every other data set",
        ),
        ({"methods": ["dmad"], "teacher": FROM_FILE}, "dmad asks the teacher's discriminator; give"),
        ({"methods": ["fesd"], "teacher": FROM_FILE}, "fesd trains with its teacher"),
        (
            {"methods": {"hinton": {"teacher": {"mode": "online"}}}, "teacher": FROM_FILE},
            "a teacher from a file is frozen, not online; write",
        ),
        ({"methods": {"none": {}, "t": {"weights": "no.pth"}}}, "no.pth: no such file"),
        ({"methods": {"none": {}, "t": {"weights": "G.pth", "hue": 1}}}, "unknown key 'hue'"),
        (
            {"methods": {"t": {"weights": "copy{seed}.pth"}}, "seeds": [0, 1]},
            "copy1.pth: of seed 1, has the contents of seed 0: copies have no spread",
        ),
        (
            {"methods": {"t": {"weights": "G.pth"}}, "widths": [2, 4]},
            "width: missing; the suite has 2, 4",
        ),
        (
            {"methods": {"t": {"weights": "G.pth"}}, "architectures": ["unet", "resnet9"]},
            "architecture: missing; the suite has unet, resnet9",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_while_planning(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SuiteError, match=said):
        tiny_plan(folder, **changes)


@pytest.mark.parametrize("judge", [{}, {"discriminator": "D.pth"}])
def test_a_row_may_have_its_teacher_trained_all_the_same(
    folder: Path, judge: dict[str, str]
) -> None:
    own, teacher = {"weights": None, "mode": "online"}, FROM_FILE | judge
    plan = tiny_plan(folder, methods={"hinton": {}, "fesd": {"teacher": own}}, teacher=teacher)
    mentors = {entry.method: bool(entry.cell and entry.cell.mentor) for entry in plan.students}
    assert mentors == {"hinton": False, "fesd": True}


def test_both_directions_of_an_unpaired_task_are_asked_for(folder: Path) -> None:
    def planned(weights: object) -> Plan:
        keys = {"datasets": ["horse2zebra"], "architectures": ["resnet9"], "methods": ["hinton"]}
        teacher = {**FROM_FILE, "weights": weights}
        return expand(load(write_suite(folder, **keys, teacher=teacher)), elsewhere=somewhere)

    with pytest.raises(SuiteError, match=r"2 directions: \{AtoB: FILE, BtoA: FILE\}"):
        planned("G.pth")
    with pytest.raises(SuiteError, match="BtoA: missing"):
        planned({"AtoB": "G.pth"})
    (cell,) = given(planned({"AtoB": "G.pth", "BtoA": "theirs.pth"}))
    assert cell.given is not None
    assert list(cell.given.files) == ["generator.AtoB", "generator.BtoA"]


def test_what_does_not_fit_stops_a_run_before_training(folder: Path) -> None:
    write(folder / "G.pth", network("unet", 8, 32))
    plan, store = tiny_plan(folder, methods=["hinton"], teacher=FROM_FILE), Store(folder / "runs")
    with pytest.raises(DistillbenchError) as caught:
        run(plan, store, Machine(jobs=1), lambda *event: None)
    text = str(caught.value)
    assert "G.pth: unet, width 4: does not fit: " in text
    assert "model.model.0.weight is [8, 3, 4, 4], should be [4, 3, 4, 4]" in text
    assert "What fits: unet, width 8, for images of 32 pixels." in text
    assert all(store.state(key).status == "missing" for key in plan.cells)


def test_verify_and_plan_say_that_it_was_given(folder: Path) -> None:
    suite = write_suite(folder, methods={"theirs": {"weights": "theirs.pth"}})
    at = [str(suite), "--store", str(folder / "runs")]
    planned = CliRunner().invoke(main, ["plan", *at])
    assert "not trained here: theirs.pth (sha256 " in planned.output
    assert "1 cells, 0 to train" in planned.output
    ran = CliRunner().invoke(main, ["run", *at, "--jobs", "1", "--mlflow", "none"])
    assert ran.exit_code == 0, ran.output
    assert "tiny: 0 trained, 0 cached; 1 done" in ran.output
    verified = CliRunner().invoke(main, ["verify", *at])
    assert verified.exit_code == 0
    assert re.search("same bits .*given, not trained: nothing to repeat", verified.output)
    (cell,) = given(expand(load(suite)))
    store = Store(folder / "runs")
    end = store.read(cell.key, "end.json")
    bundle = folder / "bundle.json"
    bundle.write_text(json.dumps({"cells": {cell.key: {"end": end | {"weights": "0" * 16}}}}))
    other = CliRunner().invoke(main, ["verify", *at, "--bundle", str(bundle)])
    assert (other.exit_code, "not the weights that were taken up" in other.output) == (1, True)
    store.checkpoint(cell.key).unlink()
    gone = CliRunner().invoke(main, ["verify", *at])
    assert (gone.exit_code, "checkpoint.safetensors is missing" in gone.output) == (1, True)


def test_inspect_says_how_a_suite_takes_a_file_up(folder: Path) -> None:
    found = CliRunner().invoke(main, ["inspect", str(folder / "G.pth"), "--size", "32"])
    assert found.exit_code == 0, found.output
    assert "fits     unet (generator), width 4, for 32 x 32 pixels" in found.output
    assert f"teacher: {{weights: {folder / 'G.pth'}, architecture: unet, width: 4}}" in found.output
    assert "its discriminator, for dcd and dmad" in found.output
    told = CliRunner().invoke(main, ["inspect", str(folder / "D.pth"), "--json"])
    (fit,) = json.loads(told.output)["fits"]
    assert (fit["role"], fit["width"], fit["input_channels"]) == ("discriminator", 2, 6)
    torch.save({"unlike.weight": torch.zeros(3)}, folder / "other.pth")
    unlike = CliRunner().invoke(main, ["inspect", str(folder / "other.pth")])
    assert (unlike.exit_code, "no architecture of this project" in unlike.output) == (1, True)


def test_rows_from_files_are_in_no_control_test_or_gain(folder: Path) -> None:
    suite = {**SUITE, "methods": {"none": {}, "hinton": {}, "theirs": {"weights": "theirs.pth"}}}
    plan = tiny_plan(folder, methods=suite["methods"], teacher=FROM_FILE)
    assert [entry.method for entry in plan.students] == ["none", "hinton"]
    (entry,) = [entry for entry in plan.entries if entry.role == "given"]
    assert entry.cell is not None
    assert plan.recipe(entry.cell) == "given"


def test_what_is_given_stands_beside_students_whose_checkpoint_is_selected(folder: Path) -> None:
    methods = {"hinton": {}, "theirs": {"weights": "theirs.pth"}}
    keys: dict[str, Any] = {"methods": methods, "teacher": FROM_FILE}
    plain = {cell.key for cell in given(tiny_plan(folder, **keys))}
    select = {"best_on_val": "psnr", "times": 2}
    plan, store = tiny_plan(folder, **keys, select=select), Store(folder / "runs")
    assert {cell.key for cell in given(plan)} == plain  # how a cell trains is none of theirs
    go(plan, store)
    assert len({row["protocol"] for row in score_rows(plan, store)}) == 1
    out, at = folder / "report", ["--store", str(folder / "runs"), "--mlflow", "none"]
    done = CliRunner().invoke(main, ["report", str(folder / "tiny.yaml"), *at, "--out", str(out)])
    assert done.exit_code == 0, done.output
    notes = (out / "tables" / "results.md").read_text()
    assert "‡ theirs: not trained here: weights theirs.pth (sha256 " in notes
    assert "whose choice of checkpoint is not known" in notes


def test_each_data_set_has_a_teacher_of_its_own(folder: Path) -> None:
    datasets = ["photo_edges", "photo_textures"]
    for name in datasets:
        write(folder / f"G_{name}.pth", network("unet", 4, 32))
    teacher = {**FROM_FILE, "weights": "G_{dataset}.pth"}
    plan = tiny_plan(folder, methods=["hinton"], datasets=datasets, teacher=teacher)
    files = [cell.given.files["generator.AtoB"] for cell in given(plan) if cell.given]
    assert [Path(file).stem for file in files] == ["G_photo_edges", "G_photo_textures"]


def test_a_discriminator_of_a_task_that_has_none_is_refused(folder: Path) -> None:
    keys: dict[str, Any] = {
        "datasets": ["tones"],
        "architectures": ["signal_ffn"],
        "methods": ["hinton_l2"],
        "size": 64,
        "outputs": {"samples": 6, "batch": 4, "steps": 3},
        "metrics": ["params"],
        "teacher": FROM_FILE | {"discriminator": "D.pth"},
    }
    with pytest.raises(SuiteError, match="the task of tones has no discriminator; leave it out"):
        plan_without_adversary(folder, keys)
