"""MLflow as a copy: SQLite, a real server, one that is down, one that dies half-way."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness import LONG, Runs
from mlflow import MlflowClient
from test_image_files import pairs
from test_reports import finish
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench.contracts.dataset import DOMAINS, SPLITS
from bench.contracts.kinds import METRIC
from bench.errors import AbsentData, FetchError, StoreError
from bench.plan.matrix import Plan
from bench.plan.scores import image_scores, record
from bench.report.publish import collect
from bench.store import provenance
from bench.store.layout import Store
from bench.track import follower as tracker
from bench.track.follower import Tracker
from bench.track.from_server import dataset_on, results
from bench.track.mirror import Copy, default_uri
from bench.track.view import TAG


def runs_of(uri: str) -> list[Any]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("distillbench/tiny")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def children(uri: str) -> dict[str, Any]:
    """Return method -> child run."""
    return {
        run.data.params["method"]: run
        for run in runs_of(uri)
        if "mlflow.parentRunId" in run.data.tags
    }


def test_a_run_is_in_sqlite_with_parents_children_losses_scores_and_files(tmp_path: Path) -> None:
    runs = Runs(
        tmp_path, seeds=[0, 1], metrics=["params", "psnr", "band_error"], methods=["none", "wkd"]
    )
    assert runs("run").returncode == 0
    uri = default_uri(Store(tmp_path / "runs"))
    every = runs_of(uri)
    parents = {r.info.run_id: r for r in every if "mlflow.parentRunId" not in r.data.tags}
    assert len(parents) == 3  # teacher, none, wkd
    assert len(every) == 3 + 5
    child = children(uri)["wkd"]
    parent = parents[child.data.tags["mlflow.parentRunId"]]
    assert parent.data.params["method"] == "wkd"
    assert (
        child.data.params | {"wkd.levels": "3", "width": "2", "suite": "tiny"} == child.data.params
    )
    assert 5 < child.data.metrics["psnr"] < 40
    assert {"band_error.LL3", "params", "loss/gan", "loss/wkd.high"} <= set(child.data.metrics)
    assert child.info.status == "FINISHED"
    of_wkd = [r.data for r in every if r.data.tags["method"] == "wkd"]
    seeds = [data.metrics["psnr"] for data in of_wkd if "seed" in data.tags]
    assert len(seeds) == 2
    assert parent.data.metrics["psnr"] == pytest.approx(sum(seeds) / 2)
    client = MlflowClient(uri)
    assert parent.data.metrics["seeds"] == 2
    files = {f.path for f in client.list_artifacts(child.info.run_id)}
    assert {"spec.json", "end.json", "scores.json", "provenance.json", "samples.png"} <= files
    history = client.get_metric_history(child.info.run_id, "loss/gan")
    assert [m.step for m in history] == [4]
    assert runs("run").returncode == 0
    assert runs("sync").returncode == 0
    assert len(runs_of(uri)) == len(every)
    assert len(client.get_metric_history(child.info.run_id, "loss/gan")) == 1


def test_infinite_and_missing_values_never_reach_sqlite_as_numbers(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], metrics=["psnr", "ssim"])
    store = Store(tmp_path / "runs")
    (cell,) = by_method(plan).values()
    train_together([cell], plan, store)
    values = {"psnr": {"psnr": math.inf}, "ssim": {"ssim": math.nan}}
    scores = {
        wanted.id: record(wanted.metric, wanted.protocol, values[wanted.metric.name], "", 1.0)
        for wanted in image_scores(cell, plan.metrics)
    }
    store.write(cell.key, "scores.json", scores)
    uri = default_uri(store)
    Copy(plan, store, uri).update(plan.students[0])
    (child,) = children(uri).values()
    assert "psnr" not in child.data.metrics
    assert child.data.tags["distillbench.infinite.psnr"] == "inf"
    assert math.isnan(child.data.metrics["ssim"])
    assert not any(abs(value) > 1e300 for value in child.data.metrics.values())


def test_identical_images_have_a_finite_psnr(tmp_path: Path) -> None:
    """So an ordinary PSNR cannot be infinite in the first place."""
    import torch

    metric = METRIC.load("psnr", "test")({})
    metric.add(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4))
    assert metric.value() == {"psnr": 100.0}


def test_a_diverged_cell_is_logged_as_failed_with_its_step(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods={"bad": {"method": "test_train:Explodes"}})
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    train_together(list(by_method(plan).values()), plan, store)
    uri = default_uri(store)
    Copy(plan, store, uri).update(plan.students[0])
    (child,) = children(uri).values()
    assert child.info.status == "FAILED"
    assert child.data.tags["status"] == "diverged"
    assert child.data.tags["reason"] == ""


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a real MLflow server on the loopback interface."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 900
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def test_training_goes_on_without_its_server_and_sync_completes_the_record(
    tmp_path: Path, port: int
) -> None:
    uri = f"http://127.0.0.1:{port}"
    runs = Runs(tmp_path / "suite", metrics=["psnr", "params"])
    # down from the start: everything is trained, and the user is told what to do
    done = runs("run", "--jobs", "1", "--mlflow", uri)
    assert done.returncode == 0, done.stderr
    assert "4 done" in done.stdout
    assert "MLflow lacks something of 4 cells" in done.stderr
    again = f"{runs.suite} --store {runs.folder / 'runs'} --mlflow {uri}"
    assert f"`distillbench sync {again}` completes it" in done.stderr
    assert runs("sync", "--mlflow", uri).returncode == 2
    # up again: sync completes it, and again adds nothing
    with server(tmp_path / "server", port):
        for _ in range(2):
            synced = runs("sync", "--mlflow", uri)
            assert synced.returncode == 0, synced.stderr
            assert synced.stdout == "tiny: MLflow is up to date.\n"
            assert len(runs_of(uri)) == 8
        child = children(uri)["wkd"]
        assert child.info.status == "FINISHED"
        files = {f.path for f in MlflowClient(uri).list_artifacts(child.info.run_id)}
        assert "samples.png" in files
        # a machine without the store makes the same report, to the byte, and neither trains
        where = ("--store", str(tmp_path / "nowhere"))
        outs = [tmp_path / "here", tmp_path / "there"]
        here = runs("report", "--out", str(outs[0]), "--mlflow", uri)
        assert (here.returncode, here.stderr) == (0, "")
        assert here.stdout == f"{outs[0] / 'index.html'}\n"
        there = runs("report", "--out", str(outs[1]), "--from", f"mlflow:{uri}", *where)
        assert (there.returncode, there.stderr) == (0, "")
        assert not (tmp_path / "nowhere").exists()
        made = [
            {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
            for out in outs
        ]
        assert len(made[0]) > 8
        assert made[0] == made[1]
        page = made[0]["index.html"].decode()
        address = f"{uri}/#/experiments/{child.info.experiment_id}/runs/{child.info.run_id}"
        assert f'<a href="{address}">{child.data.tags["distillbench.key"]}</a>' in page
        # the report lies in MLflow too, once, however often it is made
        (report,) = [r for r in runs_of(uri) if r.data.tags["role"] == "report"]
        client = MlflowClient(uri)
        logged = {
            f.path
            for folder in ("", "tables", "figures")
            for f in client.list_artifacts(report.info.run_id, folder)
        }
        assert logged == set(made[0]) | {"tables", "figures"}
    # down again: the report is written all the same
    again = runs("report", "--out", str(outs[0]), "--mlflow", uri)
    assert again.returncode == 0
    assert "the report is written, but MLflow lacks it" in again.stderr
    lost = runs("report", "--from", f"mlflow:{uri}", *where)
    assert lost.returncode == 2
    assert lost.stderr.startswith("distillbench: MLflow cannot be read: ")
    assert len(lost.stderr.splitlines()) == 1


@pytest.fixture
def half_done(tmp_path: Path) -> tuple[Plan, Store, str]:
    """One cell has ended, under two names; another was cut off; the rest is missing."""
    methods = {"none": {}, "hinton": {}, "wkd": {}, "wkd3": {"method": "wkd", "levels": 3}}
    plan = tiny_plan(tmp_path, methods=methods, metrics=["psnr", "params", "band_error"])
    store = Store(tmp_path / "runs")
    cells = by_method(plan)
    for name in ("hinton", "wkd"):
        store.write(cells[name].key, "spec.json", {"key": cells[name].key, "provenance": ""})
        record = {"step": 2, "seconds": 1.0, "time": 1.0, "losses": {"gan": 0.5}}
        store.log_losses(cells[name].key, record)
    finish(store, plan, next(e for e in plan.students if e.method == "wkd"))
    copy = Copy(plan, store, default_uri(store))
    for entry in plan.entries:
        copy.update(entry)
    return plan, store, default_uri(store)


def test_rows_from_mlflow_are_those_of_the_store(half_done: tuple[Plan, Store, str]) -> None:
    plan, store, uri = half_done
    with results(lambda _: plan, Store(Path("nowhere")), uri) as (_, restored):
        here, there = collect(plan, store), collect(plan, restored)
    status = dict(zip(there.entries["method"], there.entries["status"], strict=True))
    assert status == {
        "teacher": "missing", "none": "missing", "hinton": "started", "wkd": "done", "wkd3": "done"
    }  # fmt: skip
    places = ["samples"]
    pd.testing.assert_frame_equal(
        here.entries.drop(columns=places), there.entries.drop(columns=places)
    )
    pd.testing.assert_frame_equal(here.scores, there.scores)
    # PSNR, two band errors and parameters, under two names
    assert there.scores["value"].notna().sum() == 8
    ended = here.losses[here.losses["method"] != "hinton"]
    pd.testing.assert_frame_equal(ended.reset_index(drop=True), there.losses)


def test_every_run_can_be_filtered_and_grouped_by_its_axes(
    half_done: tuple[Plan, Store, str],
) -> None:
    _, _, uri = half_done
    (wkd,) = [r for r in runs_of(uri) if r.info.run_name == "wkd width 2 seed 0, photo_edges unet"]
    axes = {
        "suite": "tiny", "role": "student", "dataset": "photo_edges", "architecture": "unet",
        "method": "wkd", "width": "2", "discriminator_width": "2", "seed": "0",
    }  # fmt: skip
    assert axes.items() <= wkd.data.tags.items()
    assert axes.items() <= wkd.data.params.items()
    assert wkd.data.tags["status"] == "done"
    parent = MlflowClient(uri).get_run(wkd.data.tags["mlflow.parentRunId"])
    psnr = parent.data.metrics["psnr"]
    assert parent.info.run_name == f"wkd PSNR {psnr:.2f}, width 2, photo_edges unet"
    del axes["seed"]
    assert axes.items() <= parent.data.tags.items()
    client = MlflowClient(uri)
    found = client.search_runs([wkd.info.experiment_id], "tags.status = 'started'")
    assert [r.data.tags["method"] for r in found] == ["hinton"]


def test_a_suite_that_mlflow_does_not_know_is_one_line(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    done = runs("report", "--from", f"mlflow:sqlite:///{tmp_path}/new.db")
    assert done.returncode == 2
    assert "MLflow has no experiment 'distillbench/tiny'" in done.stderr
    done = runs("report", "--from", "http://host")
    assert done.returncode == 2
    assert "expected mlflow:URI" in done.stderr


def test_a_password_of_the_server_is_not_on_the_page(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    copy = Copy(plan, Store(tmp_path), "postgresql://me:secret@host/db")
    assert copy.links() == ("mlflow ui --backend-store-uri postgresql://host/db", {})


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:secret@host:5000/ml?token=secret#x", "http://host:5000/ml"),
        ("--mlflow=https://me:se@cret@host", "--mlflow=https://host"),
        ("mlflow:http://secret@host/", "mlflow:http://host/"),
        ("postgresql://me:se/c?r#et@host:1/db?password=secret", "postgresql://host:1/db"),
        ("mysql+pymysql://host/db?user=me&password=secret", "mysql+pymysql://host/db"),
        ("postgresql://me:se@cret@host/db", "postgresql://host/db"),
        ("sqlite:////home/me@work/ml.db", "sqlite:////home/me@work/ml.db"),
        ("suites/quick.yaml", "suites/quick.yaml"),
        ("methods.wkd.levels=2", "methods.wkd.levels=2"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(
    uri: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provenance.without_password(uri) == shown
    monkeypatch.setattr(sys, "argv", ["distillbench", "run", uri])
    assert provenance.collect()["argv"] == ["distillbench", "run", shown]


@pytest.mark.parametrize("change", [{"provenance": "../../../secret"}, {"key": "another"}])
@pytest.mark.parametrize("ended", [True, False])
def test_a_servers_spec_names_no_file_and_no_other_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], ended: bool
) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], metrics=["psnr", "params"])
    store = Store(tmp_path / "runs")
    (entry,) = plan.students
    assert entry.cell is not None
    if ended:
        finish(store, plan, entry)
    spec = {"key": entry.cell.key, "provenance": "", **change}
    store.write(entry.cell.key, "spec.json", spec)
    (tmp_path / "secret.json").write_text('{"secret": 1}')
    monkeypatch.setattr(Store, "provenance", lambda self, name: {})  # as a hostile server would
    Copy(plan, store, default_uri(store)).update(entry)
    monkeypatch.undo()
    with (
        pytest.raises(FetchError, match=r"spec.json is another cell's, or hostile"),
        results(lambda _: plan, Store(Path("nowhere")), default_uri(store)),
    ):
        pass


def test_a_provenance_is_read_by_its_id_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    (tmp_path / "secret.json").write_text("{}")
    assert store.provenance("") == {}
    with pytest.raises(StoreError, match="in place of its provenance's id"):
        store.provenance("../../secret")


def test_two_cells_that_cannot_be_logged_hold_up_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], seeds=[0, 1, 2, 3])
    first, second, *others = sorted(plan.cells)
    logged = []

    def update(self: Copy, entry: Any) -> None:
        if entry.cell.key in (first, second):
            raise OSError("too large")
        logged.append(entry.cell.key)

    monkeypatch.setattr(Copy, "update", update)
    assert Tracker(plan, Store(tmp_path / "runs"), "sqlite:///nowhere.db").close(10.0) == 2
    assert logged == others


def test_a_server_that_hangs_is_not_waited_for_by_every_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where failing costs time a look ends early, and the next begins with what was not tried."""
    plan = tiny_plan(tmp_path, methods=["none"], seeds=[0, 1, 2, 3])
    tried = []

    def update(self: Copy, entry: Any) -> None:
        tried.append(entry.cell.key)
        time.sleep(0.2)
        raise OSError("no answer")

    monkeypatch.setattr(Copy, "update", update)
    monkeypatch.setattr(tracker, "FAILING_S", 0.3)
    monkeypatch.setattr(tracker, "PERIOD_S", 0.1)
    copy = Tracker(plan, Store(tmp_path / "runs"), "sqlite:///nowhere.db")
    for key in plan.cells:
        copy.listen("ended", key, {})
    deadline = time.monotonic() + 600
    while len(tried) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    copy.close(10.0)
    assert set(tried[:4]) == set(sorted(plan.cells)[:4])


def test_a_server_that_dies_half_way_loses_nothing(tmp_path: Path, port: int) -> None:
    uri = f"http://127.0.0.1:{port}"
    runs = Runs(tmp_path / "suite", **LONG)
    with server(tmp_path / "server", port) as process:
        run = runs.start("run", "--jobs", "1", "--mlflow", uri)
        deadline = time.monotonic() + 1200
        while not runs_of(uri):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = run.communicate(timeout=2000)
    assert run.returncode == 0, output
    assert "MLflow lacks something of" in output
    with server(tmp_path / "server", port):
        synced = runs("sync", "--mlflow", uri)
        assert synced.returncode == 0, synced.stderr
        found = children(uri)
        assert len(runs_of(uri)) == 8
        assert all(run.info.status == "FINISHED" for run in found.values())
        history = MlflowClient(uri).get_metric_history(found["wkd"].info.run_id, "loss/gan")
        assert [m.step for m in history] == list(range(10, 151, 10))


def test_two_runs_at_once_on_one_store_log_everything_once(tmp_path: Path) -> None:
    """Both find no database; both would create it, and every run in it."""
    runs = Runs(tmp_path / "suite", seeds=[0, 1])
    processes = [runs.start("run", "--jobs", "1") for _ in range(2)]
    outputs = [p.communicate(timeout=2000)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    assert not any("MLflow lacks" in output for output in outputs)
    assert runs("sync").returncode == 0
    places = [
        (r.data.tags["distillbench.place"], r.data.tags.get("distillbench.key"))
        for r in runs_of(f"sqlite:///{runs.folder}/runs/mlflow.db")
    ]
    assert len(places) == len(set(places)) == 7 + 4  # cells, and a parent for each method


def test_a_cell_in_hand_counts_as_behind_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods=["none"])
    monkeypatch.setattr(Copy, "update", lambda self, entry: time.sleep(3))
    tracker = Tracker(plan, Store(tmp_path / "runs"), "sqlite:///nowhere.db")
    assert tracker.close(patience_s=1.0) == 1
    assert tracker.trouble == "nothing could be logged for 1 s"


def test_a_machine_without_the_images_makes_the_same_report(tmp_path: Path) -> None:
    """Keys, numbers of images and epochs come from the server's newest run of the data set."""
    runs = Runs(
        tmp_path / "suite",
        datasets={"mine": {"dataset": "pix2pix_folder", "path": "pairs"}},
        snapshots={"times": 2, "metrics": ["psnr"]},
        budget={"epochs": 2, "batch": 1},
    )
    images = pairs(runs.folder / "pairs", count=2)
    assert runs("run").returncode == 0
    uri = default_uri(Store(runs.folder / "runs"))
    outs = [tmp_path / "here", tmp_path / "there"]
    assert runs("report", "--out", str(outs[0]), "--mlflow", "none").returncode == 0
    images.rename(tmp_path / "elsewhere")
    lost = runs("report")
    assert lost.returncode == 2
    assert "pairs: no such folder" in lost.stderr
    source = ("report", "--from", f"mlflow:{uri}", "--store", str(tmp_path / "nowhere"))
    there = runs(*source, "--out", str(outs[1]), "--mlflow", "none")
    assert (there.returncode, there.stderr) == (0, "")
    made = [
        {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        for out in outs
    ]
    assert {"rows.csv", "tables/selection.md"} <= set(made[0])
    assert made[0] == made[1]
    for change, said in (
        ("datasets.mine.direction=BtoA", "Mine on MLflow was of other parameters."),
        ("datasets={yours: {dataset: pix2pix_folder, path: pairs}}", "MLflow has no run of yours"),
    ):
        wrong = runs(*source, "--set", change)
        assert wrong.returncode == 2
        assert "pairs: no such folder" in wrong.stderr
        assert said in wrong.stderr


WHOLE = {f"{split}{domain}": 3 for split in SPLITS for domain in DOMAINS}


@pytest.mark.parametrize(
    "images",
    [
        None,
        {**WHOLE, "testA": -1},
        {**WHOLE, "testA": 0},
        {**WHOLE, "trainB": 10**400},
        {**WHOLE, "trainB": "many"},
        {"trainA": 3},
        {**WHOLE, "trainC": 3},
    ],
)
def test_numbers_of_images_that_cannot_be_are_not_believed(tmp_path: Path, images: Any) -> None:
    """The newest run that can be believed is; without one it is an error of one line."""
    plan = tiny_plan(tmp_path, methods=["none", "wkd"])
    store, (good, bad) = Store(tmp_path / "runs"), plan.students
    assert good.cell is not None
    assert bad.cell is not None
    uri, missing = default_uri(store), AbsentData("gone.")
    spec = {"key": bad.cell.key, "provenance": "", "cell": json.loads(bad.cell.canonical)}
    store.write(bad.cell.key, "spec.json", spec | ({"images": images} if images else {}))
    Copy(plan, store, uri).update(bad)
    with pytest.raises(
        StoreError, match=r"gone. No run of photo_edges on MLflow says which images"
    ):
        dataset_on(uri, plan.suite, "photo_edges", bad.cell.dataset, missing)
    spec = {"key": good.cell.key, "provenance": "", "cell": json.loads(good.cell.canonical)}
    store.write(good.cell.key, "spec.json", spec | {"images": WHOLE})
    Copy(plan, store, uri).update(good)
    found = dataset_on(uri, plan.suite, "photo_edges", bad.cell.dataset, missing)
    assert (found.fingerprint, found.images) == (bad.cell.dataset.fingerprint, WHOLE)


def test_the_saved_view_is_what_mlflow_can_search_sort_and_show(
    half_done: tuple[Plan, Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store, uri = half_done
    client, report = MlflowClient(uri), tmp_path / "report"
    report.mkdir()
    (report / "bundle.json").write_text('{"files": []}')

    def views() -> dict[str, Any]:
        tags = client.get_experiment_by_name("distillbench/tiny").tags
        return {name: json.loads(tag) for name, tag in tags.items() if name.startswith(TAG)}

    assert views() == {}
    Copy(plan, store, uri).log_report(report)
    ((name, view),) = views().items()
    state = json.loads(view["state"])
    order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
    found = client.search_runs(
        [client.get_experiment_by_name("distillbench/tiny").experiment_id],
        state["searchFilter"],
        order_by=[order],
    )
    assert {run.data.params["method"] for run in found} == {"wkd", "wkd3"}  # parents with scores
    assert not any("seed" in run.data.params for run in found)
    assert order == "metrics.`psnr` DESC"
    known = [f"metrics.`{m}`" for m in found[0].data.metrics]
    known += [f"params.`{p}`" for p in found[0].data.params]
    assert {"params.`method`", "metrics.`psnr`", "metrics.`params`"} <= set(
        state["selectedColumns"]
    )
    assert set(state["selectedColumns"]) <= set(known)
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    # what a person makes of it on the page is kept
    experiment = client.get_experiment_by_name("distillbench/tiny").experiment_id
    client.set_experiment_tag(experiment, name, json.dumps(view | {"name": "my own"}))
    Copy(plan, store, uri).log_report(report)
    assert {n: v["name"] for n, v in views().items()} == {name: "my own"}

    def refused(*_: object) -> None:
        raise OSError("read only")

    client.delete_experiment_tag(experiment, name)
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refused)
    Copy(plan, store, uri).log_report(report)
    assert views() == {}


def test_a_reports_run_has_no_files_of_an_earlier_report(
    half_done: tuple[Plan, Store, str], tmp_path: Path
) -> None:
    plan, store, uri = half_done
    out, client = tmp_path / "report", MlflowClient(uri)
    (out / "tables").mkdir(parents=True)
    for files in (["index.html", "tables/ranks.md"], ["index.html"], ["index.html"]):
        for name in files:
            (out / name).write_text("text")
        (out / "bundle.json").write_text(json.dumps({"files": files}))
        Copy(plan, store, uri).log_report(out)
        (report,) = [r for r in runs_of(uri) if r.data.tags["role"] == "report"]
        held = [f.path for f in client.list_artifacts(report.info.run_id)]
        assert held == sorted({"bundle.json", *(name.split("/")[0] for name in files)})
