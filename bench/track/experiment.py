"""A suite's experiment on an MLflow server: finding it, making it, reading its runs and files."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock

from bench.errors import DistillbenchError, FetchError, StoreError, printable
from bench.store.provenance import without_password

SETTINGS = {  # unless the user's environment says otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
}
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
REFUSED = re.compile(r"(?:error code |^)(401|403)\b")
ANSWERS = {
    "401": "refuses the credentials (401): set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; docs/ci.md",
    "403": "takes the credentials, but they may not do this (403)",
}
PAGE, PAGES = 1000, 1000  # runs per call, and calls
SAID = 300  # characters of what a server answers


class Experiment:
    """One suite's experiment.

    Args:
        uri: tracking server, or SQLite file.
        suite: the suite's name.
        artifacts: folder for the files of an experiment that has to be made, if the server's own
            is not to be used; None: an experiment that is not there is an error.

    Raises:
        StoreError: MLflow has no such experiment, or it was deleted.
        Exception: whatever MLflow raises when it cannot be reached, read or written.
    """

    def __init__(self, uri: str, suite: str, artifacts: Path | None = None) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # two seconds, so only where it is used

        name, shown, file = f"distillbench/{suite}", without_password(uri), database(uri)
        if file and artifacts is None and not file.exists():  # MLflow would make it
            raise StoreError(f"{shown}: MLflow has no experiment {name!r}: no such file.")
        with _turn(file):
            self.client = MlflowClient(uri)
            found = self.client.get_experiment_by_name(name)
            if found is None and artifacts is None:
                raise StoreError(f"{shown}: MLflow has no experiment {name!r}.")
            if found is None:
                found = self._made(name, artifacts.as_uri() if artifacts and file else None)
        if found.lifecycle_stage == "deleted":
            raise StoreError(
                f"{shown}: MLflow's experiment {name!r} was deleted. `MLFLOW_TRACKING_URI="
                f"{shlex.quote(shown)} mlflow experiments restore --experiment-id "
                f"{found.experiment_id}` brings it back."
            )
        self.id, self.tags = found.experiment_id, found.tags

    def _made(self, name: str, artifacts: str | None) -> Any:
        """Make an experiment; one that another machine made in this moment is taken as it is."""
        try:
            return self.client.get_experiment(self.client.create_experiment(name, artifacts))
        except Exception:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return found

    def runs(self, tag: str = "", value: str = "") -> Iterator[Any]:
        """Yield the runs, the newest first; those alone that have a value of a tag, if it is named.

        Raises:
            StoreError: the server's pages have no end.
        """
        token, seen = None, set[str]()
        while True:
            page = self.client.search_runs(
                [self.id],
                filter_string=f"tags.`{tag}` = '{value}'" if tag else "",
                max_results=PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return
            if token in seen or len(seen) > PAGES:
                raise StoreError("MLflow hands out its pages of runs without end.")
            seen.add(token)

    def files(self, run: Any) -> set[str]:
        """Return the names of what lies at the top of a run's files."""
        return {file.path for file in self.client.list_artifacts(_id_of(run))}

    def download(self, run: Any, name: str, folder: Path) -> Path:
        """Bring a run's file into a folder that is made for it.

        Raises:
            FetchError: the run's id is none.
        """
        run_id = _id_of(run)
        folder.mkdir()
        return Path(self.client.download_artifacts(run_id, name, str(folder)))


def _id_of(run: Any) -> str:
    run_id: str = run.info.run_id
    if not re.fullmatch("[0-9A-Za-z_-]{1,64}", run_id):
        raise FetchError(f"MLflow has a run whose id is none: {run_id[:64]!r}.")
    return run_id


def database(uri: str) -> Path | None:
    """Return the file of a SQLite database; None for a server."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).resolve()


def lock_of(file: Path) -> BaseFileLock:
    """Return the lock of what lies in a file: who holds it in a thread may take it again."""
    return FileLock(f"{file}.lock", is_singleton=True)


@contextlib.contextmanager
def _turn(file: Path | None) -> Iterator[None]:
    """Hold a database's lock while it is opened: two that make its tables at once ruin it."""
    with contextlib.ExitStack() as held:
        if file:
            with contextlib.suppress(OSError):  # read-only: then nobody is making it either
                held.enter_context(lock_of(file))
        yield


def said(error: Exception, uri: str) -> str:
    """Return what MLflow raised as one line: no password, and no server's answer at length."""
    text = str(error).partition("Response body:")[0].strip().splitlines()
    line = text[0].replace(uri, without_password(uri)) if text else ""
    for secret in filter(None, map(os.environ.get, SECRETS)):
        line = line.replace(secret, "***")
    if refused := REFUSED.search(line):
        return f"{without_password(uri)} {ANSWERS[refused[1]]}"
    line = line if len(line) <= SAID else f"{line[:SAID]}..."
    ours = isinstance(error, DistillbenchError)
    return line if ours else printable(f"{type(error).__name__}: {line}")


def logged_name(score: Mapping[str, Any], name: str) -> str:
    """Return how MLflow calls one of a score's values."""
    prefix = f"{score['direction']}/" if len(score["directions"]) > 1 else ""
    prefix += f"{score['variant']}/" if score.get("variant") else ""
    full = name if name == score["metric"] else f"{score['metric']}.{name}"
    return mlflow_name(prefix + full)


def mlflow_name(text: str) -> str:
    """Return a name that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-./: " else "_" for c in text)
