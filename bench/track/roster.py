"""The runs of an experiment: each is found by what it is of, never by when it was made.

A run is of a place of the matrix and a cell's key. Writers on one machine take turns; two machines
cannot, so that both may make a run of the same: the one that holds most, and among equals the one
whose id comes first, is kept by all, and the others are deleted, which MLflow can undo.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from bench.contracts.dataset import Dataset
from bench.plan.cell import without_path
from bench.plan.identity import identity
from bench.plugins.registry import Part
from bench.track.experiment import Experiment

PLACE, KEY, ID = "distillbench.place", "distillbench.key", "distillbench.id"
PARENT = "mlflow.parentRunId"
FINAL = "distillbench.final"  # the last thing that a run of a cell gets
TAG_LENGTH, PARAM_LENGTH, DIGEST_LENGTH = 5000, 6000, 8  # MLflow's own limits and habit


class Roster:
    """What runs an experiment has.

    Raises:
        StoreError: the server's pages have no end.
        Exception: whatever MLflow raises when it cannot be reached or read.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._client = experiment, experiment.client
        self._runs: dict[str, list[Any]] = {}
        for run in experiment.runs():
            self._runs.setdefault(_of(run), []).append(run)

    def cells(self) -> Iterator[tuple[str, Any]]:
        """Yield (key, run) for every run of a cell."""
        for runs in self._runs.values():
            if key := _kept(runs).data.tags.get(KEY):
                yield key, _kept(runs)

    def parent(self, place: str) -> Any:
        """Return a parent that `have` has returned."""
        return _kept(self._runs[identity([place, ""])])

    def has(self, place: str) -> bool:
        """Say whether there is a parent."""
        return identity([place, ""]) in self._runs

    def renamed(self, run: Any) -> None:
        """Take note of a run's new name."""
        self._runs[_of(run)] = [self._client.get_run(run.info.run_id)]

    def forget(self, run: Any) -> None:
        """Look for a run anew the next time."""
        self._runs.pop(_of(run))

    def have(
        self,
        place: str,
        key: str,
        name: str,
        axes: Mapping[str, Any],
        params: Mapping[str, Any] = MappingProxyType({}),
        parent: Any = None,
        dataset: Part[Dataset] | None = None,
    ) -> Any:
        """Return the run of a place and cell; make it, or what it lacks, where that is needed.

        Args:
            place: in the matrix.
            key: the cell's; "": a parent, which ends as soon as it is whole.
            name: how lists show the run.
            axes: become parameters, which MLflow compares, and tags, by which it filters.
            params: more parameters.
            parent: the run under which lists show this one.
            dataset: what lists show it was trained on.
        """
        of = identity([place, key])
        found = self._runs.get(of) or list(self._experiment.runs(ID, of))
        if not found:
            tags = {axis: str(value)[:TAG_LENGTH] for axis, value in axes.items()}
            tags |= {PLACE: place, ID: of}
            tags |= {KEY: key, "status": "started", PARENT: parent.info.run_id} if key else {}
            made = self._client.create_run(self._experiment.id, tags=tags, run_name=name)
            found = list(self._experiment.runs(ID, of)) or [made]
        run = _kept(found)
        for other in found:
            if other is not run:
                self._client.delete_run(other.info.run_id)
        run = self._completed(run, {**axes, **params}, parent, dataset)
        self._runs[of] = [run]
        return run

    def _completed(
        self, run: Any, params: Mapping[str, Any], parent: Any, dataset: Part[Dataset] | None
    ) -> Any:
        """Return a run with what its writer may have been killed before it gave."""
        from mlflow.entities import Param

        run_id = run.info.run_id
        lacking = {n: str(v)[:PARAM_LENGTH] for n, v in params.items() if n not in run.data.params}
        if lacking:
            self._client.log_batch(run_id, params=[Param(n, v) for n, v in lacking.items()])
        lacks_data = dataset and not (run.inputs and run.inputs.dataset_inputs)
        if dataset and lacks_data:
            self._client.log_inputs(run_id, datasets=[_input(run.data.tags["dataset"], dataset)])
        strays = parent and run.data.tags.get(PARENT) != parent.info.run_id
        if strays:
            self._client.set_tag(run_id, PARENT, parent.info.run_id)
        runs_on = not parent and run.info.status == "RUNNING"
        if runs_on:
            self._client.set_terminated(run_id)
        changed = lacking or lacks_data or strays or runs_on
        return self._client.get_run(run_id) if changed else run


def _input(name: str, dataset: Part[Dataset]) -> Any:
    """Return a data set as MLflow lists it; where it lies on this machine is nobody's business."""
    from mlflow.entities import Dataset as Listed
    from mlflow.entities import DatasetInput, InputTag

    source = {"version": dataset.version, "params": without_path(dataset.params)}
    listed = Listed(
        name=name,
        digest=dataset.fingerprint[:DIGEST_LENGTH],
        source_type=dataset.short,
        source=json.dumps(source),
        profile=json.dumps({"images": dict(dataset.images)}),
    )
    return DatasetInput(listed, [InputTag("mlflow.data.context", "train")])


def _of(run: Any) -> str:
    """Return what a run is of; those of earlier versions do not say it in one tag."""
    return identity([run.data.tags.get(PLACE, ""), run.data.tags.get(KEY, "")])


def _kept(runs: list[Any]) -> Any:
    """Return the run that all writers keep of several of the same."""

    def order(run: Any) -> tuple[bool, int, str]:
        return FINAL not in run.data.tags, -len(run.data.metrics), run.info.run_id

    return min(runs, key=order)
