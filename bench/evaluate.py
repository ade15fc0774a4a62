"""A trained student is scored: its test images are generated once and fed to every metric.

A score carries its protocol: split, number of images, size, resize filter, rounding, which
checkpoint, what the real set is. Scores have keys of their own, so that a new metric evaluates
and never trains. What a network costs is scored once per network, not once per method.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bench import checkpoint, plugins
from bench.batches import normalise, open_dataset
from bench.device import autocast
from bench.learner import Learner, open_task
from bench.metric import ImageMetric, NetworkMetric
from bench.plan import Cell, Part
from bench.player import Player, below, generator
from bench.score import image_protocol, network_id, network_protocol, record, score_id
from bench.store import Store, read_json, replacing, write_json

BATCH = 8  # images generated at once; eval mode, so it changes no image
SAMPLES = 6  # test images kept for the grids


def evaluate(cell: Cell, store: Store, metrics: Sequence[Part], device: torch.device) -> None:
    """Score a trained cell by every metric of images that it lacks, and keep some samples."""
    scores = store.scores(cell.key)
    dataset, task = open_dataset(cell.dataset), open_task(cell)
    missing: list[tuple[str, str, Part, dict[str, Any]]] = []
    for direction, (source, _) in task.directions.items():
        protocol = image_protocol(cell, direction, dataset.count("test", source))
        for part in metrics:
            wanted = score_id(part, protocol)
            if plugins.declared("metric", part.name, part.name)["judges"] != "images":
                continue
            if wanted not in scores:
                missing.append((wanted, direction, part, protocol))
    if not missing:
        return
    students = _students(cell, store, device)
    for direction in task.directions:
        mine = [(w, part, protocol) for w, d, part, protocol in missing if d == direction]
        values: dict[str, list[dict[str, float]]] = {w: [] for w, _, _ in mine}
        for number, student in enumerate(students):
            open_metrics = {
                w: metric for w, part, _ in mine if (metric := _open(part, task.paired)) is not None
            }
            kept: list[Tensor] = []
            for output, target in _images(cell, student, direction, "test"):
                for metric in open_metrics.values():
                    metric.add(output, target)
                kept += list(output[: SAMPLES - len(kept)])
            for w, metric in open_metrics.items():
                values[w].append(metric.value())
            if number == 0:
                _keep_samples(store, cell, direction, kept)
        for w, part, protocol in mine:
            reason = "" if values[w] else "needs a ground truth, and the data are unpaired"
            scores[w] = record(part, protocol, _mean(values[w]), reason, time.time())
    store.write(cell.key, "scores.json", scores)


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
    for part in metrics:
        declared = plugins.declared("metric", part.name, part.name)
        if declared["judges"] != "network":
            continue
        protocol = network_protocol(cell, environment if declared["alone"] else {})
        wanted = score_id(part, protocol)
        if wanted not in scores:
            metric: NetworkMetric = plugins.load("metric", part.name, part.name)(part.params)
            with autocast(device, cell.numerics):
                values = metric.measure(generator(cell.nets, cell.size), device)
            scores[wanted] = record(part, protocol, values, "", time.time())
    write_json(path, scores)


def validator(cell: Cell) -> Callable[[Learner], float] | None:
    """Return how a cell's checkpoints are ranked on the validation split; higher is better."""
    if not cell.select:
        return None
    name = cell.select["best_on_val"]
    declared = plugins.declared("metric", name, name)
    part = Part(name, declared.version, declared["defaults"])
    sign = 1.0 if declared["better"] == "higher" else -1.0

    def validate(learner: Learner) -> float:
        found = []
        for student in learner.students:
            student.modules.eval()
            for direction in learner.task.directions:
                metric = _open(part, learner.task.paired)
                if metric is not None:
                    for output, target in _images(cell, student, direction, "val"):
                        metric.add(output, target)
                    found.append(next(iter(metric.value().values())))
            student.modules.train()
        return sign * math.fsum(found) / len(found)

    return validate


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
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of outputs and ground truths: [N, 3, S, S] float32 in [0, 1], of 8 bits.

    Where nothing is paired the second is images of the other domain, and no metric that needs a
    ground truth is given it.
    """
    dataset, task = open_dataset(cell.dataset), student.task
    source, target = task.directions[direction]
    count = dataset.count(split, source)
    for first in range(0, count, BATCH):
        places = range(first, min(first + BATCH, count))
        inputs = torch.stack([normalise(dataset.read(split, source, i, cell.size)) for i in places])
        with autocast(student.device, cell.numerics):
            output = task.generate(student.generators, direction, inputs.to(student.device))
        real = [i % dataset.count(split, target) for i in places]
        pixels = np.stack([dataset.read(split, target, i, cell.size) for i in real])
        truth = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)
        yield to_8_bits(output), truth.to(student.device)


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


def _keep_samples(store: Store, cell: Cell, direction: str, images: Sequence[Tensor]) -> None:
    for index, image in enumerate(images):
        path = store.folder(cell.key) / "samples" / f"{direction}-{index}.png"
        pixels = image.mul(255).byte().permute(1, 2, 0).cpu().numpy()
        with replacing(path) as file:
            Image.fromarray(pixels).save(file, format="PNG")
