"""What identifies a score: the metric, its version and parameters, and the protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench import plugins
from bench.cell import Cell, Part, open_dataset
from bench.store import identity

Json = dict[str, Any]


def image_protocol(cell: Cell, direction: str, images: int) -> Json:
    """Return how test images are made and what they are held against."""
    selected = "last"
    if cell.select:
        selected = f"best of {cell.select['times']} on val by {cell.select['best_on_val']}"
    return {
        "split": "test",
        "direction": direction,
        "images": images,
        "size": cell.size,
        "resize": "bicubic, antialiased (Pillow)",
        "output": "rounded to 8 bits",
        "mode": "eval",
        "checkpoint": selected,
        "real": cell.dataset.fingerprint,
    }


def image_scores(cell: Cell, metrics: Iterable[Part]) -> Iterator[tuple[str, str, Part, Json]]:
    """Yield (id, direction, metric, protocol) of every score of images that a cell should have."""
    dataset = open_dataset(cell.dataset)
    task = plugins.declared("task", cell.task.name, cell.task.name)
    for direction, (source, _) in task["directions"].items():
        protocol = image_protocol(cell, direction, dataset.count("test", source))
        for part in metrics:
            if plugins.declared("metric", part.name, part.name)["judges"] == "images":
                yield score_id(part, protocol), direction, part, protocol


def network_metrics(metrics: Iterable[Part]) -> list[Part]:
    """Return the metrics that judge networks."""
    return [p for p in metrics if plugins.declared("metric", p.name, p.name)["judges"] == "network"]


def network_protocol(cell: Cell, environment: Mapping[str, Any]) -> Json:
    """Return at which input a network is measured and, where it matters, on what machine."""
    names = ("device", "threads", "torch", "cuda")
    machine = {name: environment[name] for name in names if name in environment}
    numerics = dict(cell.numerics) if environment else {}
    return {"size": cell.size, "batch": 1, **machine, **numerics}


def network_id(cell: Cell) -> str:
    """Return what cells with the same generator share, whatever trained it."""
    nets = json.loads(cell.canonical)["nets"]
    return identity([nets["architecture"], nets["width"], cell.size])


def score_id(metric: Part, protocol: Mapping[str, Any]) -> str:
    """Return the id under which a score is kept."""
    return identity([metric.name, metric.version, dict(metric.params), dict(protocol)])


def record(
    metric: Part,
    protocol: Mapping[str, Any],
    values: Mapping[str, float],
    reason: str,
    now: float,
) -> Json:
    """Return a score as it is stored: readable without the code that made it."""
    declared = plugins.declared("metric", metric.name, metric.name)
    return {
        "metric": metric.name,
        "version": metric.version,
        "params": dict(metric.params),
        "unit": declared["unit"],
        "better": declared["better"],
        "values": dict(values),
        "reason": reason,  # why there are no values
        "protocol": dict(protocol),
        "scored_at": now,
    }
