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


def server_of(source: str) -> str:
    """Return the address in "mlflow:URI".

    Raises:
        StoreError: it is of another form.
    """
    kind, _, server = source.partition(":")
    if kind != "mlflow" or not server:
        raise StoreError(f"--from {source}: expected mlflow:URI, as in mlflow:http://host:5000.")
    return server


@contextlib.contextmanager
def results(plan: Plan, store: Store, server: str) -> Iterator[Store]:
    """Hold the store, or a temporary one with what a tracking server knows of the plan's cells.

    Raises:
        StoreError: there is no store; the server cannot be read, or has nothing of this suite.
        FetchError: what the server gave is damaged or hostile.
    """
    if not server:
        if not store.root.is_dir():
            raise StoreError(f"{store.root}: no store here; `distillbench run` makes one.")
        yield store
        return
    with tempfile.TemporaryDirectory() as folder:
        temporary = Store(Path(folder))
        try:
            Copy(plan, temporary, server).restore()
        except DistillbenchError:
            raise
        except Exception as error:  # a server may fail in any way
            raise StoreError(f"MLflow cannot be read: {_said(error)}") from error
        yield temporary


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
