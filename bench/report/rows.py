"""The store's results as rows: the only thing that reports read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bench.contracts.kinds import METRIC
from bench.contracts.metric import Metric
from bench.contracts.verdict import NOT_TRAINED, why_untrained
from bench.contracts.width import NO_WIDTH, Width, said_width
from bench.fetch.missing import missing_weights
from bench.plan.cell import Cell
from bench.plan.learning_rate import epochs_of
from bench.plan.matrix import Entry, Plan
from bench.plan.scores import (
    Wanted,
    fits,
    image_scores,
    modes_of,
    network_id,
    network_metrics,
    record,
    reference_id,
    references,
    snapshot_scores,
)
from bench.plugins.registry import Part
from bench.store.layout import State, Store, read_json
from bench.store.lineage import remark

Json = dict[str, Any]


def state_of(entry: Entry, plan: Plan, store: Store) -> State:
    """Return where an entry stands, with the reason where it cannot run."""
    if entry.cell is None:
        return State("missing" if entry.like else "skipped", entry.reason)
    state = store.state(entry.cell.key)
    for key in entry.cell.needs if state.status == "missing" else ():
        above, role = store.state(key), "teacher" if key == entry.cell.teacher else "autoencoder"
        if above.status in ("failed", "diverged"):
            return State("skipped", f"its {role} {key}: {above}")
    return state


def reason_untrained(entry: Entry, state: State, plan: Plan, store: Store) -> str:
    """Return why a finished student counts as not trained; "" if it does not.

    It never does where a plan has no metric of images: costs are of a network, trained or not.
    """
    metrics = (*plan.metrics, *plan.watched)
    if not any(part.declared.judges == "images" for part in metrics):
        return ""
    if entry.cell is None or state.status != "done":
        return ""
    return why_untrained(store.read(entry.cell.key, "end.json").get("facts"))


def scores_of(cell: Cell, plan: Plan, store: Store) -> list[Json]:
    """Return every score that a cell should have; those not there have a reason instead."""
    directions = list(cell.task.declared.directions)
    scores = store.scores(cell.key)
    found = []
    for wanted in (*image_scores(cell, plan.metrics), *snapshot_scores(cell, plan.watched)):
        score = scores.get(wanted.id) or _hole(wanted)
        if not _is_of(score, wanted.metric):
            score = _hole(wanted._replace(reason="its record is damaged"))
        is_open = not score["values"] and score["reason"] != wanted.reason
        variant = wanted.mode if wanted.mode != modes_of(cell)[0] else ""
        where = {
            "direction": wanted.direction,
            "directions": directions,
            "step": wanted.step,
            "is_open": is_open,
        }
        where |= {"variant": variant} | ({"label": wanted.label} if wanted.label else {})
        found.append({**score, **where})
    measured = read_json(store.network(network_id(cell))).values()
    of_network = sorted(measured, key=lambda score: float(score["scored_at"]))
    for part in network_metrics(cell, plan.metrics):
        same = [s for s in of_network if fits(s, cell, part)]
        score = same[-1] if same else record(part, {}, {}, "not measured", 0.0)
        where = {"directions": directions, "step": 0, "variant": ""}
        where["is_open"] = not score["values"]
        found.extend({**score, "direction": d, **where} for d in directions)
    return found


def _is_of(score: object, metric: Part[Metric]) -> bool:
    """Say whether a record is a score of a metric: a store may have come from elsewhere."""
    if not isinstance(score, dict) or score.get("metric") != metric.name:
        return False
    texts = (score.get(name) for name in ("unit", "better", "reason"))
    values, protocol = score.get("values"), score.get("protocol")
    errors = score.get("errors", {})
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(protocol, dict)
        and isinstance(values, dict)
        and isinstance(errors, dict)
        and all(isinstance(x, (int, float)) for x in (*values.values(), *errors.values()))
        and isinstance(score.get("scored_at"), (int, float))
    )


def _hole(wanted: Wanted) -> Json:
    """Return a score that is not there, with the reason."""
    reason = wanted.reason or missing_weights(wanted.metric) or "not scored"
    return record(wanted.metric, wanted.protocol, {}, reason, 0.0)


def entry_rows(
    plan: Plan, store: Store, changed: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Json]:
    """Yield one row per place of the matrix, teachers included: its axes and its status.

    `changed` are cells whose teacher has changed since, as of `bench.store.lineage`.
    """
    for entry in plan.entries:
        state = state_of(entry, plan, store)
        end = store.read(entry.cell.key, "end.json") if entry.cell else {}
        untrained = reason_untrained(entry, state, plan, store)
        teacher = changed.get(entry.cell.key, "") if entry.cell else ""
        reasons = (untrained or state.detail, remark(teacher))
        yield {
            "suite": plan.suite.name,
            "role": entry.role,
            "dataset": entry.dataset,
            "architecture": entry.architecture,
            "method": entry.method,
            "width": _as_row(entry.width),
            "discriminator_width": entry.discriminator_width,
            "seed": entry.seed,
            "is_control": bool(entry.cell and entry.cell.method == "none" and not entry.cell.given),
            "origin": entry.cell.given.origin if entry.cell and entry.cell.given else "",
            "recipe": plan.recipe(entry.cell) if entry.cell else "",
            "family": plan.recipe(_by_default(entry.cell)) if entry.cell else "",
            "given": _given(entry.cell) if entry.cell else {},
            "epochs": epochs_of(entry.cell) if entry.cell and not entry.cell.given else None,
            "key": entry.cell.key if entry.cell else "",
            "status": NOT_TRAINED if untrained else state.status,
            "reason": "; ".join(filter(None, reasons)),
            "training_s": end.get("seconds"),
            "device": end.get("environment", {}).get("device", ""),
            "nondeterministic": ", ".join(end.get("nondeterministic", [])),
            "samples": str(store.folder(entry.cell.key) / "samples") if entry.cell else "",
            "provenance": end.get("provenance", ""),
            "port": port_of(entry.cell) if entry.cell else "",
            "facts": end.get("facts", {}),
            "pulls": end.get("pulls", []),
            "tuned": dict(entry.tuned),
        }


def _as_row(width: Width) -> int | str:
    """Return a width as rows have it: one number as itself."""
    return width if isinstance(width, int) and width != NO_WIDTH else said_width(width)


def _by_default(cell: Cell) -> Cell:
    """Return a cell whose methods have no parameters of their own."""
    methods = (replace(part, params=part.declared.defaults) for part in cell.methods)
    return replace(cell, methods=tuple(methods))


def _given(cell: Cell) -> Json:
    """Return the parameters of methods that are not the default: name -> value, default."""
    return {
        f"{part.short}.{name}": [value, part.declared.defaults[name]]
        for part in cell.methods
        for name, value in part.params.items()
        if value != part.declared.defaults[name]
    }


def port_of(cell: Cell) -> str:
    """Return which of a cell's methods are ports to another problem than their paper's."""
    ports = {part.short: part.declared.port for part in cell.methods}
    return "; ".join(f"{name}: {port}" for name, port in ports.items() if port)


def score_rows(plan: Plan, store: Store) -> Iterator[Json]:
    """Yield one row per value: the axes, the metric, the value, the protocol.

    `step` is that of a snapshot, and 0 for the result; `is_open` says of one without a value that
    nothing but its making is missing.
    """
    for entry, axes in zip(plan.entries, entry_rows(plan, store), strict=True):
        if entry.cell is None or axes["status"] not in ("done", NOT_TRAINED):
            continue
        for score in scores_of(entry.cell, plan, store):
            of_cell = {axis: axes[axis] for axis in (*AXES, "status")}
            yield from _value_rows(of_cell, score)


def reference_rows(plan: Plan, store: Store) -> Iterator[Json]:
    """Yield the values of real images beside the samples of each data set and architecture."""
    seen = set()
    for entry in plan.entries:
        place = {"dataset": entry.dataset, "architecture": entry.architecture}
        if entry.cell is None or entry.role != "student" or tuple(place.values()) in seen:
            continue
        seen.add(tuple(place.values()))
        name = reference_id(entry.cell)
        scores = read_json(store.reference(name))
        axes = {"role": "reference", "is_control": False, **place, "method": "real images"}
        axes |= {"width": "—", "discriminator_width": 0, "seed": 0, "key": f"reference {name}"}
        for wanted in references(entry.cell, plan.metrics):
            score = scores.get(wanted.id, {})
            if _is_of(score, wanted.metric):
                where = {"direction": wanted.direction, "step": 0, "variant": ""}
                yield from _value_rows(axes, {**score, **where, "label": wanted.label})


def _value_rows(axes: Json, score: Json) -> Iterator[Json]:
    """Yield one row per value of a score; one without a value where it has none."""
    metric = METRIC.declaration(score["metric"], score["metric"]).says
    said = f" ({score['variant']})" if score["variant"] else ""  # never in one column
    common = {
        **axes,
        "metric": score["metric"] + said,
        "label": (score.get("label") or metric.heading(score.get("params", {})) or score["metric"])
        + said,
        "unit": metric.unit,
        "digits": metric.digits,
        "judges": metric.judges,
        "better": metric.better,
        "direction": score["direction"],
        "step": score["step"],
        "protocol": json.dumps(score["protocol"], sort_keys=True),
        "reason": score["reason"],
        "undefined": metric.undefined,
        "is_open": score.get("is_open", False),
    }
    values = score["values"] or {metric.headline or score["metric"]: None}
    for name, value in values.items():
        yield {
            **common,
            "name": name + said,
            "value": value,
            "image_error": score.get("errors", {}).get(name),
            "headline": len(values) == 1 or name == metric.headline,
        }


AXES = (
    "role",
    "is_control",
    "dataset",
    "architecture",
    "method",
    "width",
    "discriminator_width",
    "seed",
    "key",
)
