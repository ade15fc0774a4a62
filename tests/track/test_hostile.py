"""What comes from a server or a file is read, and can do nothing else."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny import by_method, tiny_plan, train_together

from bench.contracts.kinds import METHOD, METRIC
from bench.contracts.report import Table
from bench.errors import FetchError, PluginError, StoreError, SuiteError
from bench.plan.yaml import parse
from bench.report.render import comma_separated
from bench.report.rows import scores_of
from bench.store.layout import Store
from bench.track.experiment import Experiment
from bench.track.mirror import Copy
from bench.track.parcel import pack, unpack


def test_a_record_of_a_score_names_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile `scores.json` named a module, which a report imported."""
    (tmp_path / "evil_metric.py").write_text("raise RuntimeError('ran')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    plan = tiny_plan(tmp_path, methods=["none"])
    store, cell = Store(tmp_path / "runs"), by_method(plan)["none"]
    (hole,) = scores_of(cell, plan, store)
    good = {**hole, "values": {"psnr": 1.0}, "reason": "", "scored_at": 1.0}
    from bench.plan.scores import image_scores

    (wanted,) = image_scores(cell, plan.metrics)
    for change in (
        {"metric": "evil_metric:Evil"}, {"values": []}, {"values": {"psnr": "x"}}, {"protocol": 3},
        {"reason": None}, {"scored_at": "now"},
    ):  # fmt: skip
        store.write(cell.key, "scores.json", {wanted.id: {**good, **change}})
        (found,) = scores_of(cell, plan, store)
        assert found["reason"] == "its record is damaged", change
        assert found["metric"] == "psnr"
        assert found["values"] == {}
    assert "evil_metric" not in sys.modules
    store.write(cell.key, "scores.json", {wanted.id: good})
    assert scores_of(cell, plan, store)[0]["values"] == {"psnr": 1.0}


@pytest.mark.parametrize("name", ["unittest.__main__:Nothing", "leaves:Nothing", "leaves:Quits"])
def test_a_module_runs_only_for_a_class_that_it_has_and_may_not_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text = "from bench.contracts.distiller import Distiller\n\n\nclass Quits(Distiller):\n    "
    text += '"""Quits."""\n    defaults = dict(a=1)\n\n\nraise SystemExit(0)\n'
    (tmp_path / "leaves.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"found 0|cannot be imported: SystemExit"):
        METHOD.declaration(name, "suite.yaml")
    with pytest.raises(PluginError, match=r"found 0|cannot be imported: SystemExit"):
        METHOD.load(name, "suite.yaml")


def parcel(folder: Path) -> tuple[str, Path, Store]:
    """Return a cell's key, its parcel, and a store without it."""
    plan = tiny_plan(folder, methods=["none"])
    store, cell = Store(folder / "full"), by_method(plan)["none"]
    train_together([cell], plan, store)
    (folder / "empty").mkdir()
    pack(cell, store, folder / "cell.zip")
    return cell.key, folder / "cell.zip", Store(folder / "empty")


def rewritten(path: Path, changes: dict[str, bytes | None]) -> None:
    """Write a zip file again with other members."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (members | changes).items():
            if data is not None:
                file.writestr(name, data)


def test_a_whole_parcel_is_taken(tmp_path: Path) -> None:
    key, path, store = parcel(tmp_path)
    unpack(key, path, store)
    assert store.state(key).status == "done"


BROKEN: dict[str, dict[str, bytes | None]] = {
    "a number for an end": {"cell/end.json": b"5"},
    "a list of scores": {"cell/scores.json": b"[]"},
    "scores that are none": {"cell/scores.json": b'{"a": {"metric": 3}}'},
    "scores of texts": {"cell/scores.json": b'{"a": "x"}'},
    "an end of another kind": {"cell/end.json": b'{"status": "won"}'},
    "no JSON": {"cell/end.json": b"{"},
    "no text": {"cell/losses.jsonl": b"\xff\xfe"},
    "losses that are none": {"cell/losses.jsonl": b'{"step": "x"}\n'},
    "no spec": {"cell/spec.json": None},
    "a lock": {"cell/.lock": b""},
    "weights": {"cell/checkpoint.safetensors": b"x"},
    "another folder": {"cells/other/end.json": b"{}"},
    "a network by no id": {"networks/../x.json": b"{}"},
    "a network of another form": {"networks/0123456789ab.json": b'{"a": []}'},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_parcel_of_another_form_is_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    key, path, store = parcel(tmp_path)
    rewritten(path, BROKEN[kind])
    with pytest.raises(FetchError) as caught:
        unpack(key, path, store)
    assert "\n" not in str(caught.value)
    assert list(store.root.iterdir()) == []


def run(**info: Any) -> Any:
    return SimpleNamespace(info=SimpleNamespace(**info), data=SimpleNamespace(tags={}))


@pytest.mark.parametrize("name", ["/any/dir", "../up", "a/b", "", "x" * 65, "a\n"])
def test_a_runs_id_is_no_path(tmp_path: Path, name: str) -> None:
    experiment = Experiment.__new__(Experiment)
    with pytest.raises(FetchError, match="whose id is none"):
        experiment.download(run(run_id=name), "spec.json", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_pages_without_end_are_an_error() -> None:
    class Page(list[Any]):
        token = "again"

    experiment = Experiment.__new__(Experiment)
    experiment.id = "1"
    experiment.client = SimpleNamespace(search_runs=lambda *_, **__: Page())
    with pytest.raises(StoreError, match="without end"):
        list(experiment.runs())


def test_the_store_is_no_place_for_artifacts(tmp_path: Path) -> None:
    plan, store = tiny_plan(tmp_path, methods=["none"]), Store(tmp_path / "runs")
    copy = Copy(plan, store, "sqlite:///nowhere.db")
    for inside in ("", "cells/abc", "networks"):
        for scheme in ("file://", ""):
            place = f"{scheme}{store.root.resolve() / inside}"
            with pytest.raises(StoreError, match="in the store itself"):
                copy._refuse_the_store_itself(run(artifact_uri=place))
    for place in (f"file://{store.root.resolve()}/mlartifacts/1", "s3://bucket", "/elsewhere"):
        copy._refuse_the_store_itself(run(artifact_uri=place))


def test_no_cell_of_a_csv_is_a_formula() -> None:
    cells = ["=1+1", "+cmd", "-cmd", "@x", "\tx", "-0.50 ± 0.10", "-3", "+0.2 (p 0.5)", "a=b"]
    text = comma_separated(Table("t", "T", "", ["=h"], [[[c] for c in cells]]))
    quoted = ["'=h", "'=1+1", "'+cmd", "'-cmd", "'@x", "'\tx"]
    assert text.splitlines()[: len(quoted)] == quoted
    assert text.splitlines()[len(quoted) :] == cells[5:]


def test_nothing_steers_a_terminal() -> None:
    with pytest.raises(SuiteError, match="holds control characters"):
        parse(json.dumps({"methods": {"a\x1b[2J": {}}}), "here")
    said = str(SuiteError("file \x1b]0;x\x07 and \udce9"))
    assert said == "file \\x1b]0;x\\x07 and \\udce9"
    assert METRIC.names()
