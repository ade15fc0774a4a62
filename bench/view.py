"""The view that `mlflow ui` opens on a suite: one row and one bar per method, means over seeds.

MLflow's page keeps its saved views as tags of the experiment, an envelope around its own state as
JSON, and its clients have no call for them. The form is that of MLflow 3.17; a page that does not
know it shows all runs.
"""

from __future__ import annotations

import json
import time
from typing import Any

from bench import plugins
from bench.experiment import Experiment, logged_name
from bench.plan import Plan
from bench.rows import scores_of
from bench.store import Json, Store, identity

TAG = "mlflow.sharedViewState."
NAME = "Methods: means over seeds"
AXES = ("method", "dataset", "architecture", "width")
SHOWN = 20  # best methods in the charts


def save_view(experiment: Experiment, plan: Plan, store: Store) -> str:
    """Save a suite's view, unless it is there; return its id.

    What a person then makes of it on the page is kept: its id depends on the suite's metrics only.
    """
    state = _state(plan, store)
    view = identity(state)
    if TAG + view not in experiment.tags:
        envelope = {"name": NAME, "createdAt": int(time.time() * 1000), "state": json.dumps(state)}
        experiment.client.set_experiment_tag(experiment.id, TAG + view, json.dumps(envelope))
    return view


def _state(plan: Plan, store: Store) -> Json:
    """Return the state of MLflow's page: parents, best first, with their headline metrics."""
    quality, costs = dict[str, bool](), dict[str, bool]()  # MLflow's name -> is lower better?
    for cell in {e.dataset: e.cell for e in plan.students if e.cell is not None}.values():
        for score in scores_of(cell, plan, store):
            declared = plugins.declared("metric", score["metric"], score["metric"])
            if score["step"] == 0 and declared["better"]:
                found = costs if declared["judges"] == "network" else quality
                name = logged_name(score, declared["headline"] or score["metric"])
                found[name] = declared["better"] == "lower"
    first = next((n for n in quality if n.split("/")[-1] == "fid"), next(iter(quality), ""))
    state: Json = {
        "searchFilter": "metrics.seeds >= 0",  # only parents have it
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [
            *(f"params.`{axis}`" for axis in AXES),
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


def _chart(name: str, section: str, **more: Any) -> Json:
    """Return a chart of MLflow's page."""
    same = {"uuid": name, "displayName": name, "metricSectionId": section, "deleted": False}
    return {**same, "isGenerated": False, "runsCountToCompare": SHOWN, **more}
