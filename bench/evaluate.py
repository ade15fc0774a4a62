"""A trained student is scored: its test images are generated once and fed to every metric.

A score carries its protocol: split, number of images, size, resize filter, rounding, which
checkpoint, what the real set is. Scores have keys of their own, so that a new metric evaluates
and never trains. What a network costs is scored once per network, not once per method.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from bench import checkpoint, plugins
from bench.batches import normalise
from bench.cell import Cell, Part, open_dataset
from bench.device import autocast
from bench.learner import Learner, open_task
from bench.metric import ImageMetric, NetworkMetric
from bench.player import Player, below, generator
from bench.score import (
    image_scores,
    network_id,
    network_metrics,
    network_protocol,
    record,
    score_id,
)
from bench.store import Store, read_json, replacing, write_json

BATCH = 8  # images generated at once; eval mode, so it changes no image
SAMPLES = 5  # test images kept for the grids, at even distances over the split


def evaluate(
    cell: Cell, store: Store, metrics: Sequence[Part], device: torch.device
) -> dict[str, str]:
    """Score a trained cell by every metric of images that it lacks, and keep some samples.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.
    """
    scores = store.scores(cell.key)
    task = open_task(cell)
    sheets = [_Sheet(*s) for s in image_scores(cell, metrics) if s[0] not in scores]
    students = _students(cell, store, device) if sheets else []
    for direction in dict.fromkeys(sheet.direction for sheet in sheets):
        mine = [sheet for sheet in sheets if sheet.direction == direction]
        for student in students:
            for sheet in mine:
                sheet.open(task.paired)
            kept: list[tuple[Tensor, ...]] = []
            for inputs, output, target in _images(cell, student, direction, "test"):
                for sheet in mine:
                    sheet.add(output, target)
                kept += zip(inputs.cpu(), output.cpu(), target.cpu(), strict=True)
            for sheet in mine:
                sheet.close()
            if student is students[0]:
                _keep_samples(store, cell, direction, kept, task.paired)
    for sheet in sheets:
        if not sheet.failure:
            scores[sheet.id] = sheet.record()
    if sheets:
        store.write(cell.key, "scores.json", scores)
    return {sheet.part.name: sheet.failure for sheet in sheets if sheet.failure}


class _Sheet:
    """One metric in one direction, over a cell's student or its peers."""

    def __init__(self, score: str, direction: str, part: Part, protocol: dict[str, Any]) -> None:
        self.id, self.direction, self.part, self.protocol = score, direction, part, protocol
        self.metric: ImageMetric | None = None
        self.values: list[dict[str, float]] = []
        self.failure = ""

    def open(self, paired: bool) -> None:
        """Begin a student."""
        self.metric = _open(self.part, paired)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in a batch; a metric that fails takes no more."""
        self._try(lambda metric: metric.add(output, target))

    def close(self) -> None:
        """End a student."""
        self._try(lambda metric: self.values.append(metric.value()))

    def record(self) -> dict[str, Any]:
        """Return the score as it is stored: the mean over peers."""
        reason = "" if self.values else "needs a ground truth, and the data are unpaired"
        return record(self.part, self.protocol, _mean(self.values), reason, time.time())

    def _try(self, act: Callable[[ImageMetric], None]) -> None:
        if self.metric is not None and not self.failure:
            try:
                act(self.metric)
            except Exception:
                self.failure = traceback.format_exc()


def measure(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part],
    device: torch.device,
    environment: Mapping[str, Any],
) -> None:
    """Score a cell's generator as a network, by every metric that it lacks."""
    path = store.network(network_id(cell))
    scores = read_json(path)
    for part in network_metrics(metrics):
        declared = plugins.declared("metric", part.name, part.name)
        protocol = network_protocol(cell, environment if declared["alone"] else {})
        wanted = score_id(part, protocol)
        if wanted not in scores:
            metric: NetworkMetric = plugins.load("metric", part.name, part.name)(part.params)
            with autocast(device, cell.numerics):
                values = metric.measure(generator(cell.nets, cell.size), device)
            scores[wanted] = record(part, protocol, values, "", time.time())
    write_json(path, scores)


def validate(learner: Learner) -> float:
    """Return how good the present students are on the validation split; higher is better."""
    name = learner.cell.select["best_on_val"]
    declared = plugins.declared("metric", name, name)
    part = Part(name, declared.version, declared["defaults"])
    found = []
    for student in learner.students:
        student.modules.eval()
        for direction in learner.task.directions:
            metric = _open(part, learner.task.paired)
            if metric is not None:
                for _, output, target in _images(learner.cell, student, direction, "val"):
                    metric.add(output, target)
                values = metric.value()
                found.append(values[declared["headline"] or next(iter(values))])
        student.modules.train()
    return (1.0 if declared["better"] == "higher" else -1.0) * math.fsum(found) / len(found)


def _students(cell: Cell, store: Store, device: torch.device) -> list[Player]:
    """Return a trained cell's student, or its peers."""
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    students = []
    for number in range(cell.peers):
        student = Player(cell, cell.nets, open_task(cell), device)
        student.load_networks(below(tensors, f"student{number}"))
        student.freeze()
        student.modules.to(device)
        students.append(student)
    return students


def _images(
    cell: Cell, student: Player, direction: str, split: str
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of inputs, outputs and ground truths: [N, 3, S, S] in [0, 1], of 8 bits.

    Where nothing is paired the third is images of the other domain, and no metric that needs a
    ground truth is given it.
    """
    dataset, task = open_dataset(cell.dataset), student.task
    source, target = task.directions[direction]
    count = dataset.count(split, source)
    for first in range(0, count, BATCH):
        places = range(first, min(first + BATCH, count))
        real = [i % dataset.count(split, target) for i in places]
        inputs, truth = (
            torch.stack([normalise(dataset.read(split, domain, i, cell.size)) for i in indices])
            for domain, indices in ((source, places), (target, real))
        )
        with autocast(student.device, cell.numerics):
            output = task.generate(student.generators, direction, inputs.to(student.device))
        yield to_8_bits(inputs), to_8_bits(output), to_8_bits(truth.to(student.device))


def to_8_bits(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], rounded to the 256 levels that an image file holds."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).div(255)


def _open(part: Part, paired: bool) -> ImageMetric | None:
    """Return a fresh metric, or None where it needs a ground truth that there is not."""
    cls: type[ImageMetric] = plugins.load("metric", part.name, part.name)
    return None if "target" in cls.needs and not paired else cls(part.params)


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over peers, value by value."""
    if not values:
        return {}
    return {name: math.fsum(v[name] for v in values) / len(values) for name in values[0]}


def _keep_samples(
    store: Store, cell: Cell, direction: str, images: Sequence[Sequence[Tensor]], paired: bool
) -> None:
    """Write test images at even distances: input, output and, where there is one, ground truth."""
    for number in range(min(SAMPLES, len(images))):
        for role, image in zip(
            ("input", "output", "target"), images[number * len(images) // SAMPLES], strict=True
        ):
            if role != "target" or paired:
                pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
                path = store.folder(cell.key) / "samples" / f"{direction}-{number}-{role}.png"
                with replacing(path) as file:
                    Image.fromarray(pixels).save(file, format="PNG")
