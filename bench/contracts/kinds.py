"""The kinds of plug-ins: where their files lie, and which contract each obeys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.plugins import outside
from bench.plugins.registry import Kind

if TYPE_CHECKING:  # importing a contract of networks imports torch, and planning does without
    from bench.contracts.dataset import Dataset
    from bench.contracts.distiller import Distiller
    from bench.contracts.feature import Extractor
    from bench.contracts.metric import Metric
    from bench.contracts.network import Network
    from bench.contracts.report import Report
    from bench.contracts.segmenter import Segmenter
    from bench.contracts.task import Task

METHOD: Kind[Distiller] = Kind("method", "baselines", "bench.contracts.distiller", "Distiller")
TASK: Kind[Task] = Kind("task", "bench.tasks", "bench.contracts.task", "Task")
NETWORK: Kind[Network] = Kind("network", "bench.nets", "bench.contracts.network", "Network")
DATASET: Kind[Dataset] = Kind("dataset", "bench.data", "bench.contracts.dataset", "Dataset")
METRIC: Kind[Metric] = Kind(
    "metric",
    "bench.metrics",
    "bench.contracts.metric",
    "Metric",
    asked=("scoring", "pretrained", "variants"),
)
FEATURES: Kind[Extractor] = Kind(
    "features", "bench.features", "bench.contracts.feature", "Extractor"
)
SEGMENTER: Kind[Segmenter] = Kind(
    "segmenter", "bench.segmenters", "bench.contracts.segmenter", "Segmenter"
)
REPORT: Kind[Report] = Kind("report", "reports", "bench.contracts.report", "Report")

KINDS = (METHOD, TASK, NETWORK, DATASET, METRIC, FEATURES, SEGMENTER, REPORT)


def look_beside(suite: Path, plugins: object) -> None:
    """Let users' plug-ins be found beside a suite, in the present folder and in whole folders.

    Args:
        suite: its file.
        plugins: folders of plug-ins of any kind, relative to it, if it is a list of names; those of
            $DISTILLBENCH_PLUGINS come after.

    Raises:
        SuiteError: a folder is none.
        PluginError: a name is taken, or a file is no Python.
    """
    named = plugins if isinstance(plugins, list) else []
    outside.look_in(outside.places_of(suite, [name for name in named if isinstance(name, str)]))
    for kind in KINDS:
        kind.names()
