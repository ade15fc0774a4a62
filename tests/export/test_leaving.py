"""A trained student leaves: what is written is what was trained, described, and never by halves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file
from tiny import train_together, write_suite

from bench.cli.main import main
from bench.errors import Damaged, ExportError
from bench.evaluate.feed import evaluate
from bench.export import packing
from bench.export.by_torch import build
from bench.export.formats import FORMATS
from bench.export.model_card import card
from bench.export.packing import pack
from bench.export.settings import read
from bench.export.student import Student, open_student, refusal, remarks
from bench.plan.cell import Given
from bench.plan.expand import expand
from bench.plan.matrix import Entry, Plan
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.report.rows import scores_of
from bench.run.receive import receive
from bench.store.layout import Store

CPU = torch.device("cpu")
NAME = "photo_edges-unet-none-w2-s0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Store]:
    """A suite of one student, trained and scored."""
    folder = tmp_path_factory.mktemp("trained")
    suite = write_suite(folder, methods=["none"])
    plan, store = expand(load(suite)), Store(folder / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    assert evaluate(entry.cell, store, plan.metrics, CPU) == {}
    return suite, plan, store


@pytest.fixture
def place(trained: tuple[Path, Plan, Store], tmp_path: Path) -> tuple[Entry, Plan, Store]:
    """The student, in a store of its own that a test may damage."""
    _, plan, store = trained
    shutil.copytree(store.root, tmp_path / "runs")
    return plan.students[0], plan, Store(tmp_path / "runs")


@pytest.fixture
def student(place: tuple[Entry, Plan, Store]) -> Student:
    entry, plan, store = place
    return open_student(entry, plan, store, "AtoB")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def exported(trained: tuple[Path, Plan, Store], tmp_path_factory: Any) -> Path:
    """That student in the formats that hold weights alone."""
    suite, _, store = trained
    to = tmp_path_factory.mktemp("exports")
    done = call("export", suite, "--store", store.root, "--to", to, "--format", "safetensors,pth")
    assert done.exit_code == 0, done.output
    assert "model.safetensors 0, model.pth 0" in done.output
    return to / NAME


def test_the_weights_are_those_that_were_trained(
    exported: Path, trained: tuple[Path, Plan, Store]
) -> None:
    _, plan, store = trained
    (cell,) = (e.cell for e in plan.students)
    assert cell is not None
    before = load_file(store.checkpoint(cell.key))
    mine = {
        name.removeprefix("student0.generator.AtoB."): x
        for name, x in before.items()
        if name.startswith("student0.generator.AtoB.")
    }
    there = load_file(exported / "model.safetensors")
    again = torch.load(exported / "model.pth", weights_only=True)
    assert sorted(there) == sorted(again)
    assert all(torch.equal(there[name], again[name]) for name in there)
    assert "model.model.0.weight" in there  # by the names of the official code
    network = build(exported / "model.safetensors", read(exported)).state_dict()
    assert mine.keys() == network.keys()
    assert all(torch.equal(mine[name], network[name]) for name in mine)


def test_a_second_export_is_the_same_and_another_folder_is_never_overwritten(
    exported: Path, trained: tuple[Path, Plan, Store], tmp_path: Path
) -> None:
    suite, _, store = trained
    words = ("export", suite, "--store", store.root, "--format", "safetensors,pth", "--to")
    assert call(*words, tmp_path / "other").exit_code == 0
    files = {p.name: p.read_bytes() for p in (tmp_path / "other" / NAME).iterdir()}
    assert files == {p.name: p.read_bytes() for p in exported.iterdir()}
    again = call(*words, tmp_path / "other")
    assert again.exit_code == 0
    assert "is there already" in again.output
    (tmp_path / "other" / NAME / "README.md").write_text("mine")
    refused = call(*words, tmp_path / "other")
    assert refused.exit_code == 2
    assert "there is something else here" in refused.output
    assert (tmp_path / "other" / NAME / "README.md").read_text() == "mine"
    assert [p.name for p in (tmp_path / "other").iterdir()] == [NAME]  # no draft is left


def test_the_settings_say_what_the_network_takes(exported: Path) -> None:
    said = json.loads((exported / "config.json").read_text())
    assert (said["network"], said["width"], said["size"]) == ("unet", 2, 32)
    assert (said["multiple"], said["least"]) == (32, 32)
    assert (said["source"], said["target"]) == ("edges", "photo")
    assert set(said["files"]) == {"model.safetensors", "model.pth"}


def test_an_exported_student_can_teach_the_next(
    exported: Path, trained: tuple[Path, Plan, Store], tmp_path: Path
) -> None:
    _, plan, store = trained
    teacher = {"weights": str(exported), "width": 2}
    suite = write_suite(tmp_path, methods=["hinton"], teacher=teacher)
    above = next(e.cell for e in expand(load(suite)).entries if e.role == "teacher")
    (student,) = (e.cell for e in plan.students)
    assert above is not None
    assert student is not None
    place = Store(tmp_path / "runs")
    receive(above, place, {}, lambda *event: None)
    mine, theirs = (load_file(s.checkpoint(c.key)) for s, c in ((store, student), (place, above)))
    names = [name for name in mine if ".generator." in name]
    assert names == [name for name in theirs if ".generator." in name]
    assert all(torch.equal(mine[name], theirs[name]) for name in names)


def head_of(folder: Path) -> Any:
    return head_in((folder / "README.md").read_text())


def head_in(text: str) -> Any:
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_card_holds_each_score_with_its_protocol(
    exported: Path, trained: tuple[Path, Plan, Store]
) -> None:
    _, plan, store = trained
    (cell,) = (e.cell for e in plan.students)
    assert cell is not None
    (score,) = store.scores(cell.key).values()
    head = head_of(exported)
    (model,) = head["model-index"]
    (result,) = model["results"]
    (metric,) = result["metrics"]
    assert metric["type"] == "psnr"
    assert metric["value"] == score["values"]["psnr"]
    assert metric["args"].items() >= score["protocol"].items()
    assert result["dataset"]["type"] == "photo_edges"
    assert "datasets" not in head  # which would be names on a hub
    assert head["license_link"] == "LICENSE"
    text = (exported / "README.md").read_text()
    names = "layers have the names that they have in the code of junyanz"
    for said in (cell.key, "suite `tiny`", "distillbench generate", "preview.png", names):
        assert said in text
    assert "CC BY" in (exported / "LICENSE").read_text()
    assert (exported / "preview.png").is_file()


def test_the_head_of_a_card_claims_scores_of_this_very_network_alone(
    student: Student, place: tuple[Entry, Plan, Store]
) -> None:
    _, plan, store = place
    (score,) = (s for s in scores_of(student.cell, plan, store) if s["values"])
    live = score["protocol"] | {"mode": "batch statistics and dropout"}
    times = {f"latency{end}": 2.5 for end in ("", "_q1", "_q3", "_mean")}
    of_network = {"params": {}, "protocol": {"size": 32}}
    scores = [
        score | {"protocol": live, "values": {"psnr": 1.5}},
        score,
        score | of_network | {"metric": "latency", "values": times},
        score | of_network | {"metric": "macs", "values": {"macs": 56819700.0}},
    ]

    def named(student: Student) -> tuple[dict[str, float], str]:
        text = card(student, student.settings, plan, scores, False, [])
        (result,) = head_in(text)["model-index"][0]["results"]
        return {m["name"]: m["value"] for m in result["metrics"]}, text

    found, text = named(student)
    costs = {"latency", "latency: latency_q1", "latency: latency_q3", "latency: latency_mean"}
    assert {name for name in found if name.startswith("latency")} == costs
    assert [x for name, x in found.items() if "PSNR" in name] == [score["values"]["psnr"]]
    for row in ("| 1.5 |", "| 56819700 |"):  # the table has all
        assert row in text
    peers, text = named(replace(student, cell=replace(student.cell, peers=2)))
    assert sorted(peers) == sorted(name for name in found if "PSNR" not in name)
    assert "| 1.5 |" in text


def test_a_card_does_not_claim_to_know_what_a_teacher_from_a_file_learnt(
    student: Student, place: tuple[Entry, Plan, Store]
) -> None:
    _, plan, _ = place
    assert "It has learnt from photo\\_edges alone" in card(
        student, student.settings, plan, [], False, []
    )
    given = Given("weights", {"generator.AtoB": "ab" * 32}, {"generator.AtoB": "/x/net_G.pth"})
    above = replace(student.cell, given=given)
    between = replace(student.cell, teacher="above")
    plan = replace(plan, cells={**plan.cells, "above": above, "between": between})
    for teacher in ("above", "between"):  # an assistant's teacher counts as well
        taught = replace(student, cell=replace(student.cell, teacher=teacher))
        text = card(taught, student.settings, plan, [], False, [])
        assert "alone" not in text
        assert "from a teacher that was given, as net\\_G.pth (sha256 abababababab)" in text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("precision", "tf32", "precision tf32"),
        ("channels_last", True, "channels_last"),
        ("compile", True, "compile"),
    ],
)
def test_what_changes_bits_is_remarked(
    name: str, value: object, said: str, trained: tuple[Path, Plan, Store]
) -> None:
    _, plan, _ = trained
    (cell,) = (e.cell for e in plan.students)
    assert cell is not None
    assert remarks(cell) == []
    (remark,) = remarks(replace(cell, numerics={**cell.numerics, name: value}))
    assert f"computes with {said}, and" in remark


def test_the_card_is_one_that_the_hub_reads(exported: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    found = hub.ModelCard.load(exported / "README.md")
    (result,) = found.data.eval_results
    assert (result.metric_type, result.dataset_name) == ("psnr", "photo_edges")
    assert found.data.pipeline_tag == "image-to-image"


def test_files_for_other_programs_compute_the_same(
    student: Student, place: tuple[Entry, Plan, Store], tmp_path: Path
) -> None:
    _, plan, store = place
    others = [name for name in FORMATS if name not in ("safetensors", "pth")]
    packed = pack(student, plan, store, tmp_path, others)
    assert set(packed.differences) == {FORMATS[name].file for name in others}
    assert max(packed.differences.values()) <= 1e-4
    said = json.loads((packed.folder / "config.json").read_text())
    assert said["open_sizes"]
    assert b"/bench/" not in (packed.folder / "model.pt2").read_bytes()


def test_the_same_student_gives_the_same_files_bit_for_bit(
    student: Student, place: tuple[Entry, Plan, Store], tmp_path: Path
) -> None:
    _, plan, store = place
    formats = ["onnx", "torch-export"]
    first = pack(student, plan, store, tmp_path, formats)
    second = pack(student, plan, store, tmp_path, formats)
    assert (first.is_new, second.is_new) == (True, False)


def test_a_file_that_computes_something_else_is_not_kept(
    student: Student,
    place: tuple[Entry, Plan, Store],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, plan, store = place
    wrong = FORMATS["pth"]._replace(open=lambda *given: lambda images: images)
    monkeypatch.setitem(packing.FORMATS, "pth", wrong)
    with pytest.raises(ExportError, match=r"model\.pth: outputs differ by"):
        pack(student, plan, store, tmp_path / "exports", ["pth"])
    assert list((tmp_path / "exports").iterdir()) == []


def test_who_cannot_leave_is_told_why(place: tuple[Entry, Plan, Store], tmp_path: Path) -> None:
    entry, plan, store = place
    assert entry.cell is not None
    assert refusal(entry, plan, store, None) == ""
    assert "there is no peer 1" in refusal(entry, plan, store, 1)
    end = store.read(entry.cell.key, "end.json")
    facts = {"facts": {"AtoB": {"none": {"untrained": "it saw nothing"}}}}
    store.write(entry.cell.key, "end.json", end | facts)
    assert "not trained: it saw nothing" in refusal(entry, plan, store, None)
    store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 3})
    assert "diverged (step 3)" in refusal(entry, plan, store, None)
    assert "missing" in refusal(entry, plan, Store(tmp_path / "empty"), None)


def test_peers_are_asked_which_one(tmp_path: Path) -> None:
    suite = write_suite(
        tmp_path, methods={"peers": {"method": "hinton", "teacher": {"mode": "peers"}}}
    )
    plan, store = expand(load(suite)), Store(tmp_path / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    assert "2 peers" in refusal(entry, plan, store, None)
    first, second = (open_student(entry, plan, store, "AtoB", peer) for peer in (0, 1))
    assert first.folder != second.folder
    mine, other = (next(iter(s.network.parameters())) for s in (first, second))
    assert not torch.equal(mine, other)


def test_each_direction_leaves_on_its_own(tmp_path: Path) -> None:
    changes = {"datasets": ["grass2brick"], "architectures": ["resnet9"], "methods": ["none"]}
    suite = write_suite(tmp_path, **changes, metrics=["params"])
    plan, store = expand(load(suite)), Store(tmp_path / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    words = ("--store", store.root, "--to", tmp_path / "to", "--format", "pth")
    assert call("export", suite, *words).exit_code == 0
    found = sorted(p.name for p in (tmp_path / "to").iterdir())
    assert found == [f"grass2brick-resnet9-none-w2-s0-{way}" for way in ("AtoB", "BtoA")]
    said = [json.loads((tmp_path / "to" / name / "config.json").read_text()) for name in found]
    assert [(x["source"], x["target"]) for x in said] == [("grass", "brick"), ("brick", "grass")]
    weights = [(tmp_path / "to" / name / "model.pth").read_bytes() for name in found]
    assert weights[0] != weights[1]


@pytest.mark.parametrize("name", ["mine:Mine", "mine"])
def test_a_network_of_the_user_leaves_and_translates_elsewhere(name: str, tmp_path: Path) -> None:
    home, away, photos = tmp_path / "home", tmp_path / "away", tmp_path / "photos"
    for folder in (home, away, photos):
        folder.mkdir()
    code = (
        "from torch import nn\n"
        "from bench.contracts.network import Generator\n\n\n"
        "class Mine(Generator):\n"
        '    """One convolution."""\n\n'
        "    taps = {'down': 0, 'mid1': 0, 'mid2': 0, 'up': 0}\n\n"
        "    def __init__(self, width, size, params):\n"
        "        super().__init__(width, size, params)\n"
        "        self.model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())\n"
    )
    (home / "mine.py").write_text(code)
    plugins = {} if ":" in name else {"plugins": ["."]}
    suite = write_suite(
        home, **plugins, architectures={"mine": {"architecture": name}}, methods=["none"]
    )
    plan, store = expand(load(suite)), Store(tmp_path / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    packed = pack(
        open_student(entry, plan, store, "AtoB"), plan, store, away, ["safetensors", "onnx"]
    )
    assert packed.differences["model.safetensors"] == 0
    Image.new("RGB", (32, 32)).save(photos / "a.png")
    words = ["generate", packed.folder, photos, "--out", tmp_path / "out"]
    run = [sys.executable, "-m", "bench", *map(str, words)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "made_by.json").read_text())["file"] == "model.onnx"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"datasets": ["photo_crops"], "architectures": ["ldm_unet"]}, "from noise"),
        ({"datasets": ["style_photos"], "architectures": ["pca_vgg"]}, "a content and a style"),
    ],
)
def test_tasks_of_another_kind_say_so(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    from tiny import plan_without_adversary

    widths = [[2, 2, 2, 2]] if "pca_vgg" in changes["architectures"] else [32]
    own = {"methods": ["none"], "widths": widths, "metrics": ["params"], **changes}
    own |= {"teacher": {"width": widths[0], "budget": {"steps": 2}}}
    plan = plan_without_adversary(tmp_path / "s", own)
    store = Store(tmp_path / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    store.write(entry.cell.key, "end.json", {"status": "done"})
    assert why in refusal(entry, plan, store, None)


def test_damaged_weights_do_not_leave(place: tuple[Entry, Plan, Store]) -> None:
    entry, plan, store = place
    assert entry.cell is not None
    path = store.checkpoint(entry.cell.key)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Damaged, match="trains cell"):
        open_student(entry, plan, store, "AtoB")


def test_of_several_students_those_that_can_leave_do(
    trained: tuple[Path, Plan, Store], tmp_path: Path
) -> None:
    suite, _, store = trained
    words = ("export", suite, "--store", store.root, "--to", tmp_path, "--format", "safetensors")
    done = call(*words, "--seeds", "0,1")
    assert done.exit_code == 1
    assert "not exported: photo_edges unet none width 2 seed 1: missing" in done.output
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    assert call(*words, "--seeds", "1").exit_code == 2


def test_the_command_line_knows_every_format() -> None:
    from bench.cli.export import FORMATS as NAMED  # without torch, which the others need

    assert list(FORMATS) == list(NAMED)


def test_a_format_that_there_is_not_is_refused(exported: Path, tmp_path: Path) -> None:
    done = call("export", "x.yaml", "--to", tmp_path, "--format", "onx")
    assert done.exit_code == 2
    assert "Did you mean 'onnx'?" in done.output
