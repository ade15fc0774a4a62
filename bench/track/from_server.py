"""Results from a tracking server, for a report on a machine that has neither store nor images."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from bench.contracts.dataset import DOMAINS, SPLITS, Dataset
from bench.contracts.kinds import TASK
from bench.errors import AbsentData, DistillbenchError, FetchError, StoreError
from bench.plan.cell import splits_of, without_path
from bench.plan.matrix import Plan
from bench.plan.suite import Suite
from bench.plugins.registry import Part
from bench.store.layout import Store, read_json
from bench.store.provenance import without_password
from bench.track.experiment import Experiment, said
from bench.track.mirror import Copy
from bench.track.parcel import checked


def server_of(source: str) -> str:
    """Return the address in "mlflow:URI".

    Raises:
        StoreError: it is of another form.
    """
    kind, _, server = source.partition(":")
    if kind != "mlflow" or not server:
        shown = without_password(source)
        raise StoreError(f"--from {shown}: expected mlflow:URI, as in mlflow:http://host:5000.")
    return server


@contextlib.contextmanager
def results(
    opened: Callable[[Store], Plan], store: Store, server: str
) -> Iterator[tuple[Plan, Store]]:
    """Hold a plan, and the store or a temporary one with what a tracking server knows of its cells.

    Args:
        opened: returns the plan as the results of a store decide it; asked again once the trials
            of a suite that tunes are there.
        store: where results are, unless a server has them.
        server: its address, or "".

    Raises:
        StoreError: there is no store; the server cannot be read, or has nothing of this suite.
        FetchError: what the server gave is damaged or hostile.
    """
    if not server:
        plan = opened(store)
        if not store.root.is_dir():
            raise StoreError(f"{store.root}: no store here; `distillbench run` makes one.")
        yield plan, store
        return
    with tempfile.TemporaryDirectory() as folder:
        temporary = Store(Path(folder))
        with _reading(server):
            plan = opened(temporary)
            if plan.trials:
                Copy(plan.trials, temporary, server).restore()
                plan = opened(temporary)
            Copy(plan, temporary, server).restore()
        yield plan, temporary


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
        return images


def dataset_on(
    server: str, suite: Suite, name: str, part: Part[Dataset], missing: AbsentData
) -> Part[Dataset]:
    """Return a data set that is not here, with the images that a server's newest run of it had.

    Raises:
        StoreError: the server cannot be read, or has no run of this data set as the suite asks
            for it.
        FetchError: a run's spec is another cell's, or hostile.
    """
    why = f"MLflow has no run of {name} either"
    with _reading(server), tempfile.TemporaryDirectory() as folder:
        experiment = Experiment(server, suite.name)
        for number, run in enumerate(experiment.runs()):
            key = run.data.tags.get("distillbench.key")
            if key is None or run.data.tags.get("dataset") != name:
                continue
            try:
                path = experiment.download(run, "spec.json", Path(folder, str(number)))
                spec = checked(read_json(path), key)
                found = _Origin.model_validate(
                    {**spec["cell"]["dataset"], "images": spec["images"]}
                )
            except FetchError:
                raise
            except Exception:  # a run that was cut off has no spec, one of long ago no numbers
                why = f"no run of {name} on MLflow says which images it had"
                continue
            task = TASK.declaration(part.declared.task, name).says
            places = [f"{s}{d}" for s in splits_of(task) for d in part.declared.domains]
            if not all(found.images[place] for place in places):
                why = f"no run of {name} on MLflow says which images it had"
                continue
            mine = (part.name, part.version, without_path(part.params))
            if (found.name, found.version, found.params) == mine:
                return replace(part, fingerprint=found.fingerprint, images=found.images)
            why = f"{name} on MLflow was of other parameters"
    raise StoreError(f"{missing} {why[0].upper()}{why[1:]}.")


@contextlib.contextmanager
def _reading(server: str) -> Iterator[None]:
    """Turn whatever MLflow raises into one line."""
    try:
        yield
    except DistillbenchError:
        raise
    except Exception as error:  # a server may fail in any way
        raise StoreError(f"MLflow cannot be read: {said(error, server)}") from error
