"""What identifies a score: the metric, its version and parameters, and the protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bench import plugins
from bench.fetch import weights
from bench.plan.cell import Cell, Part, open_dataset
from bench.plan.schedule import Schedule
from bench.plan.segmenting import makes, palette_of, segmenter_for
from bench.store.results import identity

Json = dict[str, Any]

RESIZE = "bicubic, antialiased (Pillow)"


class Wanted(NamedTuple):
    """A score that a cell should have."""

    id: str
    direction: str
    metric: Part
    protocol: Json
    reason: str  # why it cannot be had, if so
    step: int = 0  # of a snapshot; 0 is the result


def snapshot_scores(cell: Cell, metrics: Iterable[Part]) -> Iterator[Wanted]:
    """Yield every score that the snapshots of a cell should have."""
    if cell.snapshots:
        scores = list(image_scores(cell, metrics))
        schedule = Schedule(cell.budget, cell.images_per_epoch)
        for step in schedule.evenly(cell.snapshots):
            for wanted in scores:
                protocol = wanted.protocol | {"checkpoint": f"step {step} of {schedule.steps}"}
                name = score_id(wanted.metric, protocol)
                yield wanted._replace(id=name, protocol=protocol, step=step)


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
        "resize": RESIZE,
        "output": "rounded to 8 bits",
        "mode": "eval",
        "checkpoint": selected,
        "real": cell.dataset.fingerprint,
    }


def image_scores(cell: Cell, metrics: Iterable[Part]) -> Iterator[Wanted]:
    """Yield every score of images that a cell should have.

    A segmenter makes no images: it is scored on the real photographs, by what judges labels.
    """
    dataset = open_dataset(cell.dataset)
    task = plugins.declared("task", cell.task.name, cell.task.name)
    of_labels = makes(cell) == "labels"
    for direction, (source, target) in task["directions"].items():
        common = image_protocol(cell, direction, cell.dataset.images[f"test{source}"])
        for part in metrics:
            declared = plugins.declared("metric", part.name, part.name)
            needs, reason = declared["needs"], ""
            if declared["judges"] != "images" or (of_labels and "labels" not in needs):
                continue
            protocol = dict(common)
            if declared["features"]:
                extractor = plugins.declared("features", declared["features"], part.name)
                protocol["features"] = f"{declared['features']} {extractor.version}"
                protocol["real images"] = cell.dataset.images[f"test{target}"]
            if "target" in needs and not task["paired"]:
                reason = "needs a ground truth, and the data are unpaired"
            if "labels" in needs:
                height, width = dataset.label_size or (cell.size, cell.size)
                protocol["labels"] = f"{width} x {height}"
                if not palette_of(cell.dataset):
                    reason = f"needs labels, and {cell.dataset.name} has none"
                elif not of_labels and dataset.label_domain != source:
                    reason = "judges photographs, and these are label maps"
                elif of_labels:
                    protocol |= {"output": "none: the real images", "segmenter": "itself"}
                elif part.params["segmenter"] == "trained":
                    protocol["segmenter"] = segmenter_for(cell.dataset, cell.size, part).key
                else:
                    name = part.params["segmenter"]
                    segmenter = plugins.declared("segmenter", name, part.name)
                    protocol["segmenter"] = f"{name} {segmenter.version}"
                    foreign = [c for c in palette_of(cell.dataset) if c not in segmenter["classes"]]
                    if foreign:
                        reason = f"{name} does not know {foreign[0]!r} of {cell.dataset.name}"
            yield Wanted(score_id(part, protocol), direction, part, protocol, reason)


def needed_weights(metric: Part) -> list[str]:
    """Return the pretrained networks that a metric needs, its extractor's or segmenter's too."""
    declared = plugins.declared("metric", metric.name, metric.name)
    found = list(declared["weights"])
    for parameter, networks in declared["weights_by"].items():
        given = metric.params[parameter]
        found += [networks[v] for v in (given if isinstance(given, list) else [given])]
    if declared["features"]:
        found += plugins.declared("features", declared["features"], metric.name)["weights"]
    if metric.params.get("segmenter", "trained") != "trained":
        found += plugins.declared("segmenter", metric.params["segmenter"], metric.name)["weights"]
    return found


def missing_weights(metric: Part) -> str:
    """Return why a metric cannot be had on this machine; "" where it can."""
    missing = [name for name in needed_weights(metric) if weights.look(name)[0] != "here"]
    if not missing:
        return ""
    names = " ".join(missing)
    return (
        f"{metric.name} needs weights that are not here: "
        f"`distillbench fetch {names}` brings them or says where to put them"
    )


def network_metrics(metrics: Iterable[Part]) -> list[Part]:
    """Return the metrics that judge networks."""
    return [p for p in metrics if plugins.declared("metric", p.name, p.name)["judges"] == "network"]


def network_protocol(cell: Cell, metric: Part, environment: Mapping[str, Any]) -> Json:
    """Return at which input a network is measured and, where it matters, on what machine."""
    names = ("device", "threads", "torch", "cuda")
    machine = {name: environment[name] for name in names if name in environment}
    numerics = dict(cell.numerics) if environment else {}
    batch = metric.params.get("batch", 1)
    return {"size": cell.size, "batch": batch, **machine, **numerics}


def fits(score: Mapping[str, Any], cell: Cell, metric: Part) -> bool:
    """Say whether a network's stored score is one of this metric under this cell's numerics.

    The machine is left open: a table shows the last one measured, and which it was.
    """
    declared = plugins.declared("metric", metric.name, metric.name)
    asked = {"size": cell.size, **(cell.numerics if declared["alone"] else {})}
    made = {name: score["protocol"].get(name) for name in asked}
    same = (score["metric"], score["version"], score["params"])
    return same == (metric.name, metric.version, dict(metric.params)) and made == asked


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
