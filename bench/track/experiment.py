"""A suite's experiment on an MLflow server: finding it, making it, reading its runs and files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import FetchError, StoreError
from bench.store.provenance import without_password

SETTINGS = {  # unless the user's environment says otherwise
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
}
PAGE, PAGES = 1000, 1000  # runs per call, and calls


class Experiment:
    """One suite's experiment.

    Args:
        uri: tracking server, or SQLite file.
        suite: the suite's name.
        artifacts: folder for the files of an experiment that has to be made, if the server's own
            is not to be used; None: an experiment that is not there is an error.

    Raises:
        StoreError: MLflow has no such experiment.
        Exception: whatever MLflow raises when it cannot be reached, read or written.
    """

    def __init__(self, uri: str, suite: str, artifacts: Path | None = None) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient  # two seconds, so only where it is used

        self.client = MlflowClient(uri)
        name = f"distillbench/{suite}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            self.id, self.tags = found.experiment_id, found.tags
        elif artifacts is None:
            raise StoreError(f"{without_password(uri)}: MLflow has no experiment {name!r}.")
        else:
            place = artifacts.as_uri() if uri.startswith("sqlite:") else None
            self.id = self.client.create_experiment(name, artifact_location=place)
            self.tags = {}

    def runs(self, since_ms: int = 0) -> Iterator[Any]:
        """Yield the runs that were started since, the newest first."""
        token, seen = None, set[str]()
        while True:
            page = self.client.search_runs(
                [self.id],
                filter_string=f"attributes.start_time >= {since_ms}",
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

    def download(self, run: Any, name: str, folder: Path) -> Path:
        """Bring a run's file into a folder that is made for it.

        Raises:
            FetchError: the run's id is none.
        """
        if not re.fullmatch("[0-9A-Za-z_-]{1,64}", run.info.run_id):
            raise FetchError(f"MLflow has a run whose id is none: {run.info.run_id[:64]!r}.")
        folder.mkdir()
        return Path(self.client.download_artifacts(run.info.run_id, name, str(folder)))


def logged_name(score: Mapping[str, Any], name: str) -> str:
    """Return how MLflow calls one of a score's values."""
    prefix = f"{score['direction']}/" if len(score["directions"]) > 1 else ""
    full = name if name == score["metric"] else f"{score['metric']}.{name}"
    return mlflow_name(prefix + full)


def mlflow_name(text: str) -> str:
    """Return a name that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-./: " else "_" for c in text)
