"""A report from where the results are, to a folder and to MLflow."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from bench.contracts.dataset import DOMAINS, SPLITS
from bench.errors import AbsentData, DistillbenchError, FetchError, StoreError
from bench.plan.cell import Part, without_path
from bench.plan.matrix import Plan
from bench.plan.suite import Suite
from bench.report.publish import publish
from bench.store.results import Store, read_json
from bench.track.experiment import Experiment
from bench.track.mirror import Copy, default_uri
from bench.track.parcel import checked


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
        with _reading():
            Copy(plan, temporary, server).restore()
        yield temporary


Count = Annotated[int, Field(ge=0, le=10**9)]


class _Origin(BaseModel):
    """What a cell's spec says of its data set."""

    name: str
    version: int | str
    params: dict[str, Any]
    fingerprint: Annotated[str, Field(min_length=1)]
    images: dict[str, Count]

    @field_validator("images")
    @classmethod
    def _are_whole(cls, images: dict[str, int]) -> dict[str, int]:
        if set(images) != {f"{split}{domain}" for split in SPLITS for domain in DOMAINS}:
            raise ValueError("not a number for each split and domain")
        if not all(images[f"{split}{domain}"] for split in ("train", "test") for domain in DOMAINS):
            raise ValueError("none to train or to test on")
        return images


def dataset_on(server: str, suite: Suite, name: str, part: Part, missing: AbsentData) -> Part:
    """Return a data set that is not here, with the images that a server's newest run of it had.

    Raises:
        StoreError: the server cannot be read, or has no run of this data set as the suite asks
            for it.
        FetchError: a run's spec is another cell's, or hostile.
    """
    why = f"MLflow has no run of {name} either"
    with _reading(), tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(server, suite.name)
        for run in experiment.runs():
            key = run.data.tags.get("distillbench.key")
            if key is None or run.data.tags.get("dataset") != name:
                continue
            try:
                path = experiment.download(run, "spec.json", Path(folder, run.info.run_id))
                spec = checked(read_json(path), key)
                found = _Origin.model_validate(
                    {**spec["cell"]["dataset"], "images": spec["images"]}
                )
            except FetchError:
                raise
            except Exception:  # a run that was cut off has no spec, one of long ago no numbers
                why = f"no run of {name} on MLflow says which images it had"
                continue
            mine = (part.name, part.version, without_path(part.params))
            if (found.name, found.version, found.params) == mine:
                return replace(part, fingerprint=found.fingerprint, images=found.images)
            why = f"{name} on MLflow was of other parameters"
    raise StoreError(f"{missing} {why[0].upper()}{why[1:]}.")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn whatever MLflow raises into one line."""
    try:
        yield
    except DistillbenchError:
        raise
    except Exception as error:  # a server may fail in any way
        raise StoreError(f"MLflow cannot be read: {_said(error)}") from error


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
