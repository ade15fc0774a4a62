"""What MLflow's list of runs shows before anybody chooses columns: method, scores, data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from test_not_trained import marked
from test_reports import NETWORK, filled, finish
from test_tracking import runs_of
from tiny import tiny_plan

from bench.plan.matrix import Plan
from bench.store.layout import Store
from bench.track.headline import NOTE, NOTE_LENGTH, _description, called, scores_in_a_name
from bench.track.mirror import Copy, default_uri


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Plan, Store, str]:
    """Three methods of which two have ended, in MLflow."""
    plan = tiny_plan(tmp_path, metrics=["params", "psnr", "band_error"])
    store = Store(tmp_path / "runs")
    for entry in plan.students[:2]:
        finish(store, plan, entry)
    copy = Copy(plan, store, default_uri(store))
    for entry in plan.entries:
        copy.update(entry)
    copy.summarise()
    return plan, store, default_uri(store)


def parents(uri: str) -> dict[str, Any]:
    """Return method -> parent run."""
    every = [run for run in runs_of(uri) if "mlflow.parentRunId" not in run.data.tags]
    return {run.data.tags["method"]: run for run in every}


def description(uri: str) -> str:
    tags = MlflowClient(uri).get_experiment_by_name("distillbench/tiny").tags
    return str(tags.get(NOTE, ""))


def test_a_name_holds_the_method_and_its_first_scores(copied: tuple[Plan, Store, str]) -> None:
    _, _, uri = copied
    found = parents(uri)
    assert set(found) == {"none", "hinton"}
    for method, run in found.items():
        scores = f"PSNR {run.data.metrics['psnr']:.2f}"  # no costs, and nothing without a headline
        assert run.info.run_name == f"{method} {scores}, width 2, photo_edges unet"


def test_each_run_names_its_data_set_and_not_where_it_lies(
    copied: tuple[Plan, Store, str],
) -> None:
    plan, _, uri = copied
    cell = next(iter(plan.cells.values()))
    for run in runs_of(uri):
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.source_type) == ("photo_edges", "photo_edges")
        assert given.dataset.digest == cell.dataset.fingerprint[:8]
        assert [tag.value for tag in given.tags] == ["train"]


def test_the_description_ranks_and_lists_the_methods(copied: tuple[Plan, Store, str]) -> None:
    _, _, uri = copied
    first, *rest = description(uri).splitlines()
    psnr = {method: run.data.metrics["psnr"] for method, run in parents(uri).items()}
    ranked = sorted(psnr, key=lambda method: -psnr[method])
    assert first == "PSNR ↑ photo\\_edges: " + ", ".join(f"{m} {psnr[m]:.2f}" for m in ranked)
    rows = [line for line in rest if line.startswith("| photo")]
    assert [row.split(" | ")[2] for row in rows] == ["none", "hinton"]


def test_a_description_of_a_persons_own_stays(copied: tuple[Plan, Store, str]) -> None:
    plan, store, uri = copied
    client = MlflowClient(uri)
    number = client.get_experiment_by_name("distillbench/tiny").experiment_id
    client.set_experiment_tag(number, NOTE, "mine")
    finish(store, plan, plan.students[2])
    Copy(plan, store, uri).summarise()
    assert description(uri) == "mine"


def test_ours_follows_the_store(copied: tuple[Plan, Store, str]) -> None:
    plan, store, uri = copied
    finish(store, plan, plan.students[2])
    Copy(plan, store, uri).summarise()
    assert "wkd" in description(uri).splitlines()[0]


def test_a_copy_of_before_gets_names_and_data_sets(
    copied: tuple[Plan, Store, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan, store, _ = copied
    uri = f"sqlite:///{tmp_path / 'before.db'}"
    with monkeypatch.context() as before:
        before.setattr(Copy, "_name", lambda *_: None)
        before.setattr(MlflowClient, "log_inputs", lambda *_, **__: None)
        for entry in plan.students:
            Copy(plan, store, uri).update(entry)
    assert parents(uri)["none"].info.run_name == "none width 2, photo_edges unet"
    assert not parents(uri)["none"].inputs.dataset_inputs
    for _ in range(2):
        copy = Copy(plan, store, uri)
        for entry in plan.students:
            copy.update(entry)
        copy.summarise()
        assert parents(uri)["none"].info.run_name.startswith("none PSNR ")
        assert all(len(run.inputs.dataset_inputs) == 1 for run in runs_of(uri))
        assert len(runs_of(uri)) == 4


def test_where_nothing_is_done_nothing_is_asked(tmp_path: Path) -> None:
    plan, store = tiny_plan(tmp_path), Store(tmp_path / "runs")
    Copy(plan, store, default_uri(store)).summarise()
    assert not (tmp_path / "runs").exists()


def test_with_several_widths_these_come_before_scores(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, widths=[2, 4])
    entry = plan.students[0]
    assert called(entry, plan, "PSNR 13.20") == "none width 2 PSNR 13.20, photo_edges unet"
    assert called(entry, plan) == "none width 2, photo_edges unet"
    assert scores_in_a_name([], {}, 0, 1) == ""


def test_a_long_description_says_what_it_left_out(tmp_path: Path) -> None:
    methods = {
        f"a_rather_long_name_{n}": {"method": "hinton", "weight": n + 1.0} for n in range(60)
    }
    plan, store = tiny_plan(tmp_path, methods=methods), Store(tmp_path / "runs")
    for entry in plan.students:
        finish(store, plan, entry)
    text = _description(plan, store)
    assert 4000 < len(text) <= NOTE_LENGTH
    assert "Not shown for want of room: " in text


def test_what_did_not_train_is_in_no_mean_name_or_rank(tmp_path: Path) -> None:
    plan, store = marked(tmp_path, "wkd", (0, 1))
    ranks, *rest = _description(plan, store).splitlines()
    assert "hinton" in ranks
    assert "wkd" not in ranks
    assert [line for line in rest if " | wkd | 0/2 | — | " in line]
    uri = default_uri(store)
    copy = Copy(plan, store, uri)
    for entry in plan.students:
        copy.update(entry)
    run = parents(uri)["wkd"]
    assert run.info.run_name == "wkd width 2, photo_edges unet"
    assert run.data.metrics == {"seeds": 0}


def test_survivors_come_last_and_say_how_many_they_are(tmp_path: Path) -> None:
    plan, store = marked(tmp_path, "hinton", (1,))
    wkd = next(e.cell for e in plan.students if e.method == "wkd" and e.seed == 0)
    store.write(wkd.key, "end.json", {"status": "diverged", "step": 3})
    ranks = _description(plan, store).splitlines()[0].partition(": ")[2].split(", ")
    assert ranks[0].startswith("none ")
    assert [said[-7:] for said in ranks[1:]] == ["(n=1/2)"] * 2
    uri = default_uri(store)
    copy = Copy(plan, store, uri)
    for entry in plan.students:
        copy.update(entry)
    assert parents(uri)["wkd"].info.run_name.startswith("wkd PSNR 23.00 (n=1/2), width 2")


def test_each_place_has_a_ranking_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORK, 3, NETWORK[2])
    plan, store = filled(tmp_path, widths=[2, 3])
    title = _description(plan, store).splitlines()[0]
    for width in (2, 3):
        assert title.count(f"photo\\_edges width {width}: ") == 1
    assert title.count("none ") == 2
