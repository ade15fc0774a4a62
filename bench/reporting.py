"""A report from where the results are, to a folder and to MLflow."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import DistillbenchError, StoreError
from bench.plan import Plan
from bench.publish import publish
from bench.store import Store
from bench.tracking import Copy, default_uri


@contextlib.contextmanager
def from_mlflow(plan: Plan, uri: str) -> Iterator[Store]:
    """Hold a temporary store with what a server knows of the plan's cells.

    Raises:
        StoreError: the server cannot be read, or has nothing of this suite.
        FetchError: what it gave is damaged or hostile.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        try:
            Copy(plan, store, uri).restore()
        except DistillbenchError:
            raise
        except Exception as error:  # a server may fail in any way
            raise StoreError(f"MLflow cannot be read: {_said(error)}") from error
        yield store


def usual_uri(store: Store) -> str:
    """Return where this store's runs were logged; "" where they were not."""
    if (store.root / "mlflow.db").exists() or "MLFLOW_TRACKING_URI" in os.environ:
        return default_uri(store)
    return ""


def write(plan: Plan, store: Store, out: Path, uri: str) -> tuple[Path, str]:
    """Write a report, with links into MLflow and to its run there; "" for `uri`: without.

    Returns:
        The page, and what MLflow said if the report could not be put there.
    """
    copy = Copy(plan, store, uri) if uri else None
    tracking, runs, trouble = "", dict[str, str](), ""
    try:
        if copy:
            tracking, runs = copy.links()
    except Exception as error:  # a server may fail in any way, and the report goes on
        trouble = _said(error)
    page = publish(plan, store, out, tracking, runs)
    try:
        if copy and not trouble:
            copy.log_report(out)
    except Exception as error:
        trouble = _said(error)
    return page, trouble


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
