"""By which metrics a suite has results, snapshots, checkpoints and trials judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.contracts.kinds import METRIC
from bench.contracts.metric import Metric
from bench.errors import SuiteError
from bench.plan.suite import Suite
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.task import Task

Json = dict[str, Any]


def of_results(suite: Suite, where: str) -> tuple[Part[Metric], ...]:
    """Return the metrics of a suite."""
    return tuple(METRIC.part(n, p, f"{where}: metrics.{n}") for n, p in suite.metrics.items())


def of_snapshots(suite: Suite, where: str) -> tuple[Part[Metric], ...]:
    """Return the metrics by which snapshots are scored.

    Raises:
        SuiteError: one of them judges no images.
    """
    rows = suite.snapshots.metrics if suite.snapshots else {}
    found = tuple(METRIC.part(n, p, f"{where}: snapshots.metrics.{n}") for n, p in rows.items())
    for part in found:
        if part.declared.judges != "images":
            raise SuiteError(f"{where}: snapshots.metrics: {part.name} judges no images.")
    return found


def of_checkpoints(suite: Suite, tasks: Mapping[str, type[Task]], where: str) -> Json:
    """Return what a cell's key says of how its checkpoint is chosen; {} for the last one.

    Raises:
        SuiteError: the metric cannot choose.
    """
    name = suite.select.best_on_val
    if name is None:
        return {}
    where = f"{where}: select.best_on_val"
    metric = METRIC.part(name, suite.metrics.get(name, {}), where)
    declared = metric.declared
    if declared.judges != "images" or not declared.better or not declared.one_by_one:
        raise SuiteError(f"{where}: {name} does not rank images one by one.")
    for label, task in tasks.items():
        if "target" in declared.needs and not task.paired:
            raise SuiteError(f"{where}: {name} needs a ground truth, {label} data have none.")
    chosen = {"version": metric.version, "params": dict(metric.params)}
    return suite.select.model_dump() | chosen


def of_trials(suite: Suite, where: str) -> Part[Metric]:
    """Return the metric that chooses among trials.

    Raises:
        SuiteError: it does not rank sets of images.
    """
    assert suite.tune is not None
    name, where = suite.tune.by, f"{where}: tune.by"
    metric = METRIC.part(name, suite.metrics.get(name, {}), where)
    if metric.declared.judges != "images" or not metric.declared.better:
        raise SuiteError(f"{where}: {name} does not rank images.")
    return metric
