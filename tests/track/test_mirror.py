"""MLflow's copy after kills, beside other writers, and where the server takes only a part."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import pytest
from harness import Runs
from mlflow import MlflowClient
from test_reports import finish
from test_tracking import runs_of
from tiny import tiny_plan

from bench.errors import StoreError
from bench.plan.matrix import Entry, Plan
from bench.store.layout import Store
from bench.track.experiment import Experiment, said
from bench.track.mirror import ARTIFACTS, Copy


class Killed(BaseException):
    """No `except Exception` catches it, as none catches SIGKILL."""


class Watched:
    """An MLflow client that counts its calls, and dies at one of them."""

    def __init__(self, uri: str, calls: Counter[str], fatal: int, *, after: bool) -> None:
        self._client, self._calls, self._fatal, self._after = MlflowClient(uri), calls, fatal, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)

        def call(*args: Any, **options: Any) -> Any:
            self._calls[name] += 1
            dies = sum(self._calls.values()) == self._fatal
            if dies and not self._after:
                raise Killed
            answer = real(*args, **options)
            if dies:
                raise Killed
            return answer

        return call


def watch(monkeypatch: pytest.MonkeyPatch, fatal: int = 0, *, after: bool = False) -> Counter[str]:
    """Have `Copy` use a client that dies at a call; return how often each call was made."""
    calls = Counter[str]()
    monkeypatch.setattr(mlflow, "MlflowClient", lambda uri: Watched(uri, calls, fatal, after=after))
    return calls


def known(uri: str) -> list[Any]:
    """Return all that MLflow holds, without what differs from one copy to the next."""
    client, runs = MlflowClient(uri), runs_of(uri)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found = []
    for run in runs:
        run_id, is_parent = run.info.run_id, "mlflow.parentRunId" not in run.data.tags
        history = {
            name: [
                (point.value, point.step, 0 if is_parent else point.timestamp)
                for point in client.get_metric_history(run_id, name)
            ]
            for name in run.data.metrics
        }
        if is_parent:  # means are logged again where it is not known whether they were
            history = {name: points[-1:] for name, points in history.items()}
        files = sorted(f.path for f in client.list_artifacts(run_id))
        tags = {name: names.get(value, value) for name, value in run.data.tags.items()}
        images = [f for f in files if f.startswith("images")]
        found.append(
            (run.info.run_name, run.info.status, tags, run.data.params, history,
             [f for f in files if f not in images])
        )  # fmt: skip
    return sorted(found, key=lambda run: ("mlflow.parentRunId" not in run[2], str(run[0])))


@pytest.fixture
def ended(tmp_path: Path) -> tuple[Plan, Store, Entry]:
    """A cell that has ended, with three records of its losses."""
    plan = tiny_plan(tmp_path, methods=["none"], metrics=["psnr", "params", "band_error"])
    store, (entry,) = Store(tmp_path / "runs"), plan.students
    assert entry.cell is not None
    finish(store, plan, entry)
    for step in (1, 2, 3):
        record = {"step": step, "seconds": 1.0, "time": float(step)}
        store.log_losses(entry.cell.key, record | {"losses": {"gan": 0.5, "l1": 2.0}})
    return plan, store, entry


@pytest.fixture
def empty(tmp_path: Path, ended: tuple[Plan, Store, Entry]) -> Path:
    """A database with the suite's experiment and no run."""
    file = tmp_path / "empty.db"
    Experiment(f"sqlite:///{file}", "tiny", tmp_path / ARTIFACTS)
    return file


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_leaves_what_the_next_writer_completes(
    tmp_path: Path,
    ended: tuple[Plan, Store, Entry],
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    plan, store, entry = ended
    undisturbed = f"sqlite:///{shutil.copy(empty, tmp_path / 'undisturbed.db')}"
    calls = watch(monkeypatch)
    Copy(plan, store, undisturbed).update(entry)
    expected, count = known(undisturbed), sum(calls.values())
    assert len(expected) == 2
    assert count > 20
    for fatal in range(1, count + 1):
        uri = f"sqlite:///{shutil.copy(empty, tmp_path / f'{fatal}.db')}"
        watch(monkeypatch, fatal, after=after)
        with pytest.raises(Killed):
            Copy(plan, store, uri).update(entry)
        watch(monkeypatch)
        Copy(plan, store, uri).update(entry)
        assert known(uri) == expected, f"killed at call {fatal} of {count}"


def test_a_copy_that_is_whole_costs_one_query(
    ended: tuple[Plan, Store, Entry], empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store, entry = ended
    uri = f"sqlite:///{empty}"
    Copy(plan, store, uri).update(entry)
    calls = watch(monkeypatch)
    copy = Copy(plan, store, uri)
    for _ in range(3):
        copy.update(entry)
    assert calls == {"get_experiment_by_name": 1, "search_runs": 1}


def test_a_run_is_found_whatever_the_clock_of_its_writer(
    ended: tuple[Plan, Store, Entry], empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either writes, and one's clock is an hour late."""
    plan, store, entry = ended
    late, other = (Copy(plan, store, f"sqlite:///{empty}") for _ in range(2))
    for copy in (late, other):
        copy._connect(create=True)
    create = MlflowClient.create_run

    def an_hour_ago(self: MlflowClient, *args: Any, **options: Any) -> Any:
        return create(self, *args, **options, start_time=int(time.time() - 3600) * 1000)

    other.update(entry)
    expected = known(f"sqlite:///{empty}")
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_run", an_hour_ago)
        late.update(entry)
    assert known(f"sqlite:///{empty}") == expected


def test_of_two_runs_of_the_same_all_keep_the_same_one(
    ended: tuple[Plan, Store, Entry], empty: Path
) -> None:
    """Two machines that look in the same moment make two; the one that holds more stays."""
    plan, store, entry = ended
    uri, client = f"sqlite:///{empty}", MlflowClient(f"sqlite:///{empty}")
    Copy(plan, store, uri).update(entry)
    expected = known(uri)
    later = ("distillbench.final", "distillbench.logged")
    bare = {
        run.info.run_id: {n: v for n, v in run.data.tags.items() if n not in later}
        for run in runs_of(uri)
    }
    number = runs_of(uri)[0].info.experiment_id
    for tags in bare.values():
        client.create_run(number, tags=tags)
    assert len(runs_of(uri)) == 4
    Copy(plan, store, uri).update(entry)
    assert known(uri) == expected
    for run_id, tags in bare.items():  # where both hold nothing, the ids decide
        client.delete_run(run_id)
        for _ in range(2):
            client.create_run(number, tags=tags)
    least = {
        min(r.info.run_id for r in runs_of(uri) if r.data.tags["distillbench.id"] == of)
        for of in {r.data.tags["distillbench.id"] for r in runs_of(uri)}
    }
    Copy(plan, store, uri).update(entry)
    assert {run.info.run_id for run in runs_of(uri)} == least
    assert known(uri) == expected


def test_a_run_that_somebody_deleted_is_made_again(
    ended: tuple[Plan, Store, Entry], empty: Path
) -> None:
    plan, store, entry = ended
    uri, client = f"sqlite:///{empty}", MlflowClient(f"sqlite:///{empty}")
    copy = Copy(plan, store, uri)
    copy.update(entry)
    expected = known(uri)
    assert entry.cell is not None
    store.write(entry.cell.key, "end.json", store.read(entry.cell.key, "end.json") | {"reason": ""})
    for run in runs_of(uri):
        if "mlflow.parentRunId" in run.data.tags:
            client.delete_run(run.info.run_id)
    Copy(plan, store, uri).update(entry)
    assert [run[3:] for run in known(uri)] == [run[3:] for run in expected]


def test_a_server_that_keeps_no_files_has_the_numbers(
    tmp_path: Path, ended: tuple[Plan, Store, Entry], empty: Path
) -> None:
    plan, store, entry = ended
    (tmp_path / ARTIFACTS).write_text("no folder")
    uri = f"sqlite:///{empty}"
    with pytest.raises(OSError, match=ARTIFACTS):
        Copy(plan, store, uri).update(entry)
    child, parent = known(uri)
    assert {"psnr", "loss/l1", "params"} <= set(child[4])
    assert child[1] == "FINISHED"
    assert child[2]["status"] == "done"
    assert "psnr" in parent[4]
    assert "distillbench.final" not in child[2]
    (tmp_path / ARTIFACTS).unlink()
    Copy(plan, store, uri).update(entry)
    child = known(uri)[0]
    assert "distillbench.final" in child[2]
    assert "cell.zip" in child[5]


def test_a_deleted_experiment_is_named_with_the_command_that_restores_it(
    tmp_path: Path, ended: tuple[Plan, Store, Entry], empty: Path
) -> None:
    uri, client = f"sqlite:///{empty}", MlflowClient(f"sqlite:///{empty}")
    number = client.get_experiment_by_name("distillbench/tiny").experiment_id
    client.delete_experiment(number)
    runs = Runs(tmp_path / "suite", methods=["none"], metrics=["psnr"])
    command = f"mlflow experiments restore --experiment-id {number}"
    done = runs("report", "--from", f"mlflow:{uri}")
    assert done.returncode == 2
    assert command in done.stderr
    assert len(done.stderr.splitlines()) == 1
    plan, store, entry = ended
    with pytest.raises(StoreError, match=command):
        Copy(plan, store, uri).update(entry)
    subprocess.run(
        ["sh", "-c", f"MLFLOW_TRACKING_URI={uri} {sys.executable} -m {command}"], check=True
    )
    Copy(plan, store, uri).update(entry)
    assert len(runs_of(uri)) == 2


def test_two_processes_that_meet_on_a_new_database_both_use_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from bench.track.experiment import Experiment; "
        "Experiment(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))"
    )
    uri = f"sqlite:///{tmp_path}/new.db"
    started = [
        subprocess.Popen([sys.executable, "-c", program, uri, name, str(tmp_path)])
        for name in ("one", "two", "one")
    ]
    assert [process.wait(1200) for process in started] == [0, 0, 0]
    names = {e.name for e in MlflowClient(uri).search_experiments()}
    assert {"distillbench/one", "distillbench/two"} <= names


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        Experiment(f"sqlite:///{tmp_path}/none.db", "tiny")
    assert list(tmp_path.iterdir()) == []


def test_what_a_server_answers_at_length_is_not_said() -> None:
    uri = "http://me:secret@host:5000"
    answer = f"API request to {uri}/api failed. Response body: '<html>{'x' * 5000}'\nmore"
    assert said(OSError(answer), uri) == "OSError: API request to http://host:5000/api failed."
    assert len(said(OSError("y" * 5000), uri)) < 400
    assert said(OSError(), uri) == "OSError: "
    assert said(StoreError("gone."), uri) == "gone."
    assert "\x1b" not in said(OSError("\x1b[2J"), uri)
