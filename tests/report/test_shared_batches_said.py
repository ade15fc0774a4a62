"""Wherever numbers over seeds are shown that share their batches, it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from test_reports import filled
from test_tracking import runs_of
from tiny import train_together

from bench.cli.main import main
from bench.contracts.shared_batches import PROTOCOL, SAID
from bench.errors import ReportError
from bench.report.publish import publish
from bench.report.rows import score_rows
from bench.track.mirror import Copy
from reports._format import protocol_of


def call(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_every_table_and_figure_says_so(tmp_path: Path, kind: str) -> None:
    plan, store = filled(tmp_path, batches=kind)
    publish(plan, store, tmp_path / "out")
    written = [*(tmp_path / "out" / "tables").glob("*.md"), tmp_path / "out" / "answers.md"]
    written += (tmp_path / "out" / "figures").glob("*.notes.tex")
    assert len(written) > 5
    for path in written:
        assert (SAID in path.read_text()) == (kind == "shared"), path
    results = (tmp_path / "out" / "tables" / "results.md").read_text()
    assert (f"batches {PROTOCOL}" in results) == (kind == "shared")
    assert "teacher" in results  # trained once, beside them
    bundle = json.loads((tmp_path / "out" / "bundle.json").read_text())
    assert bundle["suite"].get("batches", "own") == kind


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_commands_say_so(tmp_path: Path, kind: str) -> None:
    plan, store = filled(tmp_path, batches=kind)
    where = (plan.suite.path, "--store", store.root)
    compare = ("compare", "wkd", "--to", "none", "--suite", *where)
    assert (SAID.rstrip(".") in call("plan", plan.suite.path, "--store", tmp_path / "none")) == (
        kind == "shared"
    )
    assert ("batches shared by all seeds" in call("status", *where)) == (kind == "shared")
    assert json.loads(call("status", *where, "--json"))["batches"] == kind
    assert (SAID in call(*compare)) == (kind == "shared")
    assert json.loads(call(*compare, "--json"))["batches"] == kind
    gate = ("gate", *where, "--against", tmp_path / "base.json")
    call(*gate, "--accept")
    assert (SAID in call(*gate, "--markdown", tmp_path / "gate.md")) == (kind == "shared")
    assert (SAID in (tmp_path / "gate.md").read_text()) == (kind == "shared")


def test_cells_of_both_kinds_never_share_a_column(tmp_path: Path) -> None:
    frames = [
        pd.DataFrame(list(score_rows(*filled(tmp_path / kind, batches=kind))))
        for kind in ("own", "shared")
        if (tmp_path / kind).mkdir() is None
    ]
    own, shared = (frame[frame["metric"] == "psnr"] for frame in frames)
    assert protocol_of(shared) == f"{protocol_of(own)}, batches {PROTOCOL}"
    mixed = pd.concat([own, shared])
    with pytest.raises(ReportError, match=r"two protocols \(batches: None and 'shared"):
        protocol_of(mixed)
    teacher = own[own["role"] == "teacher"]
    assert protocol_of(pd.concat([teacher, shared[shared["role"] == "student"]]))
    odd = teacher.assign(protocol=teacher["protocol"].str.replace("75", "10"))
    with pytest.raises(ReportError, match=r"two protocols \(batches: .*; images|images: "):
        protocol_of(pd.concat([odd, shared]))


def test_mlflow_has_a_row_of_means_for_each_kind(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for kind in ("own", "shared"):
        plan, store = filled(tmp_path, batches=kind, methods=["none"])
        copy = Copy(plan, store, uri)
        for entry in plan.entries:
            copy.update(entry)
    students = [run for run in runs_of(uri) if run.data.tags["role"] == "student"]
    kinds: dict[str, list[str]] = {}
    for run in students:
        said = run.data.params.get("batches", "own")
        assert run.data.tags.get("batches", "own") == said
        kinds.setdefault(run.data.tags.get("mlflow.parentRunId", ""), []).append(said)
    assert sorted(kinds.pop("")) == ["own", "shared"]
    assert sorted(kinds.values()) == [["own"] * 2, ["shared"] * 2]


def test_the_card_of_an_export_says_so(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, batches="shared", methods=["none"], seeds=[1])
    (entry,) = plan.students
    assert entry.cell is not None
    train_together([entry.cell], plan, store)
    call("export", plan.suite.path, "--store", store.root, "--to", tmp_path / "exports")
    (card,) = (tmp_path / "exports").glob("*/README.md")
    assert "suite `tiny`, of batches that all its seeds share, cell" in card.read_text()
    assert f"batches {PROTOCOL}" in card.read_text()
