"""The segmenter that a plan trains where mIoU asks for one: a cell as any other."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from bench import plugins
from bench.cell import Cell, Nets, Part, open_dataset
from bench.suite import Budget

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
    return _segmenter(_Same(dataset), size, wanted["steps"], wanted["width"], wanted["batch"])


class _Same:
    """A data set as a key of a cache: its parameters are a mapping, which has no hash."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.text = f"{part.name} {part.version} {part.fingerprint} {part.path} {part.params}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@cache
def _segmenter(dataset: _Same, size: int, steps: int, width: int, batch: int) -> Cell:
    palette = {name: list(colour) for name, colour in palette_of(dataset.part).items()}
    void = [list(colour) for colour in void_of(dataset.part)]
    return Cell(
        task=_part("task", "segmentation", palette=palette, void=void),
        dataset=dataset.part,
        size=size,
        nets=Nets(
            _part("network", "small_segmenter", classes=len(palette)),
            width,
            _part("network", "patchgan"),  # which the task does not keep
            1,
        ),
        methods=(_part("method", "none"),),
        seed=0,
        budget=Budget(steps=steps, batch=batch, lr=LR),
        select={},
        numerics=FIXED,
    )


def _part(kind: str, name: str, **params: object) -> Part:
    declared = plugins.declared(kind, name, name)
    return Part(name, declared.version, declared.params(params, name))
