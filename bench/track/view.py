"""The view that `mlflow ui` opens on a suite: one row and one bar per method, means over seeds.

MLflow's page keeps its saved views as tags of the experiment, an envelope around its own state as
JSON, and its clients have no call for them. The form is that of MLflow 3.17; a page that does not
know it shows all runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.matrix import Plan
from bench.store.layout import Json, Store
from bench.track.experiment import Experiment
from bench.track.headline import headlines

TAG = "mlflow.sharedViewState."
NAME = "Methods: means over seeds"
SHOWN = 20  # best methods in the charts


def save_view(experiment: Experiment, plan: Plan, store: Store) -> str:
    """Save the view of a suite's results; return its id, or "" where the server does not take it.

    The id is a hash of the view, so what a person makes of it on the page is kept.
    """
    state = _state(plan, store)
    view = identity(state)
    if TAG + view not in experiment.tags:
        envelope = {"name": NAME, "createdAt": int(time.time() * 1000), "state": json.dumps(state)}
        try:
            experiment.client.set_experiment_tag(experiment.id, TAG + view, json.dumps(envelope))
        except Exception:  # it may be read-only, or of a version with shorter tags
            return ""
    return view


def _state(plan: Plan, store: Store) -> Json:
    """Return the state of MLflow's page: parents, best first, with their headline metrics."""
    heads = headlines(list(_one_per_dataset(plan, store)), plan, store)
    quality = {head.name: head.is_lower for head in heads if not head.is_cost}
    costs = [head.name for head in heads if head.is_cost]
    first = next(iter(quality), "")
    axes = ["method", "dataset", "architecture", "width"]
    if len(plan.suite.discriminator_widths) > 1:
        axes.append("discriminator_width")
    state: Json = {
        "searchFilter": "metrics.seeds >= 0",  # only parents have it
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [
            *(f"params.`{axis}`" for axis in axes),
            *(f"metrics.`{name}`" for name in ("seeds", *quality, *costs)),
        ],
        "runsHiddenMode": "FIRST_20_RUNS",
    }
    if first:
        state |= {"orderByKey": f"metrics.`{first}`", "orderByAsc": quality[first]}
        charts = [_chart(name, "quality", type="BAR", metricKey=name) for name in quality]
        charts += [
            _chart(
                f"{first} by {cost}",
                "costs",
                type="SCATTER",
                xaxis={"key": cost, "type": "METRIC"},
                yaxis={"key": first, "type": "METRIC"},
            )
            for cost in costs
        ]
        sections = {"quality": "Quality", "costs": "Quality against cost"}
        state |= {
            "compareRunCharts": charts,
            "compareRunSections": [
                {"uuid": section, "name": name, "display": True, "isReordered": False}
                for section, name in sections.items()
            ],
        }
    return state


def _one_per_dataset(plan: Plan, store: Store) -> Iterable[Cell]:
    """Return a cell of each data set that has ended well, to see how its scores are called."""
    cells = (entry.cell for entry in reversed(plan.students) if entry.cell is not None)
    return {c.dataset.name: c for c in cells if store.state(c.key).status == "done"}.values()


def _chart(name: str, section: str, **more: Any) -> Json:
    """Return a chart of MLflow's page."""
    same = {"uuid": name, "displayName": name, "metricSectionId": section, "deleted": False}
    return {**same, "isGenerated": False, "runsCountToCompare": SHOWN, **more}
