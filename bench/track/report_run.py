"""A report is written to a folder, and lies in MLflow beside the runs that it is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.plan.matrix import Plan
from bench.report.publish import publish
from bench.store.layout import Store
from bench.track.experiment import said
from bench.track.mirror import Copy, default_uri


def usual_uri(store: Store) -> str:
    """Return where this store's runs were logged; "" where they were not."""
    if (store.root / "mlflow.db").exists() or os.environ.get("MLFLOW_TRACKING_URI"):
        return default_uri(store)
    return ""


def write(
    plan: Plan, store: Store, out: Path, uri: str, metrics: Sequence[str] = ()
) -> tuple[Path, str]:
    """Write a report of some metrics, with links into MLflow and to its run there.

    Without them for a `uri` of "".

    Returns:
        The page, and what MLflow said if the report could not be put there.
    """
    copy = Copy(plan, store, uri) if uri else None
    tracking, runs, trouble = "", dict[str, str](), ""
    try:
        if copy:
            tracking, runs = copy.links()
    except Exception as error:  # a server may fail in any way, and the report goes on
        trouble = said(error, uri)
    page = publish(plan, store, out, tracking, runs, metrics)
    try:
        if copy and not trouble:
            copy.log_report(out)
    except Exception as error:
        trouble = said(error, uri)
    return page, trouble
