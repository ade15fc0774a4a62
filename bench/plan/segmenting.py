"""The segmenter that a plan trains where mIoU asks for one: a cell as any other."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from bench import plugins
from bench.plan.cell import Cell, Nets, Part, open_dataset, part_of
from bench.plan.suite import Budget

LR = 1e-3
FIXED = {"precision": "fp32", "channels_last": False, "compile": False}


def palette_of(dataset: Part) -> dict[str, tuple[int, int, int]]:
    """Return class -> colour in the label maps of a data set; {} where it has none."""
    found: dict[str, tuple[int, int, int]] = plugins.declared(
        "dataset", dataset.name, dataset.name
    )["labels"]
    return found


def void_of(dataset: Part) -> list[tuple[int, int, int]]:
    """Return the colours in the label maps of a data set that are no class."""
    return list(plugins.declared("dataset", dataset.name, dataset.name)["void"])


def wants_segmenter(cell: Cell, metric: Part) -> bool:
    """Say whether scoring a cell needs a segmenter that the plan trains."""
    declared = plugins.declared("metric", metric.name, metric.name)
    return (
        "labels" in declared["needs"]
        and metric.params["segmenter"] == "trained"
        and bool(palette_of(cell.dataset))
        and open_dataset(cell.dataset).label_domain == "A"  # then photographs are generated
    )


def segmenters(cell: Cell, metrics: Iterable[Part]) -> list[Cell]:
    """Return the segmenters that scoring a cell needs, itself excepted."""
    return [
        segmenter_for(cell.dataset, cell.size, metric)
        for metric in metrics
        if makes(cell) == "images" and wants_segmenter(cell, metric)
    ]


def makes(cell: Cell) -> str:
    """Say whether a cell's generators put out images or labels."""
    return str(plugins.declared("task", cell.task.name, cell.task.name)["makes"])


def segmenter_for(dataset: Part, size: int, metric: Part) -> Cell:
    """Return the cell of the segmenter of one data set at one size."""
    wanted = metric.params
    return _segmenter(dataset, size, wanted["steps"], wanted["width"], wanted["batch"])


@cache
def _segmenter(dataset: Part, size: int, steps: int, width: int, batch: int) -> Cell:
    palette = {name: list(colour) for name, colour in palette_of(dataset).items()}
    void = [list(colour) for colour in void_of(dataset)]
    return Cell(
        task=part_of("task", "segmentation", {"palette": palette, "void": void}, "miou"),
        dataset=dataset,
        size=size,
        nets=Nets(
            part_of("network", "small_segmenter", {"classes": len(palette)}, "miou"),
            width,
            part_of("network", "patchgan", {}, "miou"),  # which the task does not keep
            1,
        ),
        methods=(part_of("method", "none", {}, "miou"),),
        seed=0,
        budget=Budget(steps=steps, batch=batch, lr=LR),
        select={},
        numerics=FIXED,
    )
