"""A trained student is scored: its test images are generated once and fed to every metric.

A score carries its protocol: split, number of images, size, resize filter, rounding, which
checkpoint, what the real set is. Scores have keys of their own, so that a new metric evaluates
and never trains. What a network costs is scored once per network, not once per method.
"""

from __future__ import annotations

import functools
import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench import plugins
from bench.contracts.feature import Extractor
from bench.contracts.metric import Features, ImageMetric, NetworkMetric
from bench.contracts.network import Generator
from bench.contracts.segmenter import Predictor, Segmenter, largest, read_labels
from bench.contracts.task import Task
from bench.evaluate.feed import Images, Scorer, joined
from bench.fetch import weights
from bench.plan.cell import Cell, Part, open_dataset, without_path
from bench.plan.scores import (
    RESIZE,
    image_scores,
    needed_weights,
    network_id,
    network_metrics,
    network_protocol,
    record,
    score_id,
    snapshot_scores,
)
from bench.plan.segmenting import makes, palette_of, segmenter_for, void_of
from bench.store.files import replacing
from bench.store.results import Store, identity, read_json, write_json
from bench.train import checkpoint
from bench.train.batches import normalise
from bench.train.device import autocast, clocks, full_precision
from bench.train.learner import Learner, open_task
from bench.train.player import Player, below, generator

BATCH = 16  # images generated at once; eval mode, so it changes no image
SAMPLES = 5  # test images kept for the grids, at even distances over the split


def evaluate(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part],
    device: torch.device,
    watched: Sequence[Part] = (),
) -> dict[str, str]:
    """Score a trained cell by every metric of images that it lacks, and keep some samples.

    Args:
        cell: what was trained.
        store: where its checkpoint lies and its scores go.
        metrics: by which the result is scored; metrics of networks are passed over.
        device: where to compute.
        watched: metrics by which its snapshots are scored.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.
    """
    scores = store.scores(cell.key)
    every = [*image_scores(cell, metrics), *snapshot_scores(cell, watched)]
    wanted = [w for w in every if w.id not in scores]
    failures: dict[str, str] = {}
    values: dict[str, list[dict[str, float]]] = {w.id: [] for w in wanted}
    possible = [w for w in wanted if not w.reason]
    for step, direction in dict.fromkeys((w.step, w.direction) for w in possible):
        mine = {w.id: w.metric for w in possible if (w.step, w.direction) == (step, direction)}
        path = store.snapshot(cell.key, step) if step else store.checkpoint(cell.key)
        students = _students(cell, path, device)
        for student in students:
            predictors = {
                name: functools.partial(_predictor, cell, metric, store, device)
                for name, metric in mine.items()
            }
            scorer = Scorer(mine, device, tuple(palette_of(cell.dataset)), predictors)
            samples = step == 0 and student is students[0] and makes(cell) == "images"
            for batch in _images(cell, student, direction, "test"):
                if samples:
                    _keep_samples(store, cell, direction, batch, scorer.count, student.task)
                labels = None
                if scorer.predictors:
                    labels = _labels(cell, scorer.count, len(batch[0]), device)
                with full_precision():
                    scorer.add(_for_scoring(batch, cell, student, labels))
            real = functools.partial(_real_features, cell, direction, store)
            with full_precision():
                found = scorer.values(real)
            for name, value in found.items():
                values[name].append(value)
            failures |= {mine[name].name: text for name, text in scorer.failures.items()}
    for w in wanted:
        if w.reason or values[w.id]:
            mean = _mean(values[w.id])
            protocol = w.protocol | _weights_protocol(w.metric)
            scores[w.id] = record(w.metric, protocol, mean, w.reason, time.time())
    if wanted:
        store.write(cell.key, "scores.json", scores)
    return failures


def _for_scoring(
    batch: Sequence[Tensor], cell: Cell, student: Player, labels: Tensor | None
) -> Images:
    """Return a batch as metrics take it; a segmenter is judged on the real photographs."""
    inputs, output, target = batch
    if makes(cell) == "labels":
        return Images(inputs, None, labels)
    return Images(output, target if student.task.paired else None, labels)


def _labels(cell: Cell, first: int, count: int, device: torch.device) -> Tensor:
    """Return the classes that test images show, [N, h, w], at the size at which they are judged."""
    dataset = open_dataset(cell.dataset)
    palette, void = palette_of(cell.dataset), void_of(cell.dataset)
    maps = (dataset.label_map("test", i, cell.size) for i in range(first, first + count))
    images = (torch.from_numpy(m.transpose(2, 0, 1)[None] / np.float32(255)) for m in maps)
    return torch.cat([read_labels(image, palette, void) for image in images]).to(device)


def _predictor(cell: Cell, metric: Part, store: Store, device: torch.device) -> Predictor:
    """Return the segmenter of a metric that judges labels.

    Raises:
        StoreError: the plan trains it, and it has not been trained.
        WeightsError: it is a published one, and its weights are missing.
    """
    published = metric.params["segmenter"]
    if published != "trained":
        segmenter: Segmenter = plugins.load("segmenter", published, metric.name)(device)
        places = [segmenter.classes.index(name) for name in palette_of(cell.dataset)]
        return functools.partial(_translated, segmenter, places)
    trained = segmenter_for(cell.dataset, cell.size, metric)
    (player,) = _students(trained, store.checkpoint(trained.key), device)
    return functools.partial(_predict, player)


def _translated(
    segmenter: Segmenter, places: Sequence[int], images: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return classes as places in the data set's palette; those it lacks come after all others."""
    table = torch.full((len(segmenter.classes),), len(places))
    table[torch.tensor(places)] = torch.arange(len(places))
    found: Tensor = table.to(images.device)[segmenter(images, size)]
    return found


@torch.no_grad()
def _predict(player: Player, images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the class of each pixel: [N, 3, S, S] in [0, 1] -> [N, *size]."""
    (direction,) = player.task.directions
    logits = player.task.generate(player.generators, direction, images.mul(2).sub(1))
    return largest(logits, size)


def _weights_protocol(metric: Part) -> dict[str, Any]:
    """Return the sha256 of every pretrained network that had a say in a score."""
    needed = needed_weights(metric)
    return {"weights": {name: weights.look(name)[1] for name in needed}} if needed else {}


def _real_features(
    cell: Cell, direction: str, store: Store, features: str, extractor: Extractor
) -> Features:
    """Return the features of the real test images of a direction, from the store if they are there.

    They are kept by content: the images, how they are resized, the extractor and its weights.
    """
    task, dataset = open_task(cell), open_dataset(cell.dataset)
    _, domain = task.directions[direction]
    declared = plugins.declared("features", features, features)
    data = [cell.dataset.name, cell.dataset.version, cell.dataset.fingerprint]
    content = [features, declared.version, *(weights.look(n)[1] for n in declared["weights"])]
    params = without_path(cell.dataset.params)
    path = store.real(identity([*data, params, domain, cell.size, RESIZE, *content]))
    if path.exists():
        return checkpoint.load(path)[0]
    parts = []
    count = dataset.count("test", domain)
    for first in range(0, count, BATCH):
        places = range(first, min(first + BATCH, count))
        pixels = [normalise(dataset.read("test", domain, i, cell.size)) for i in places]
        parts.append(extractor(to_8_bits(torch.stack(pixels)), first))
    found = joined(parts)
    checkpoint.save(path, dict(found), {"features": features})
    return found


def measure(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part],
    device: torch.device,
    environment: Mapping[str, Any],
    again: bool = False,
) -> dict[str, str]:
    """Score a cell's generator as a network, by every metric that it lacks, or by all `again`.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.
    """
    path = store.network(network_id(cell))
    scores, failures = read_json(path), {}
    for part in network_metrics(metrics):
        declared = plugins.declared("metric", part.name, part.name)
        protocol = network_protocol(cell, part, environment if declared["alone"] else {})
        wanted = score_id(part, protocol)
        if wanted in scores and not again:
            continue
        values: Mapping[str, float] = {}
        reason = "needs a GPU" if "gpu" in declared["needs"] and device.type == "cpu" else ""
        if not reason:
            metric: NetworkMetric = plugins.load("metric", part.name, part.name)(part.params)
            try:
                with autocast(device, cell.numerics):
                    values = metric.measure(_as_trained(cell), device)
            except Exception:
                failures[part.name] = traceback.format_exc()
                continue
        found = record(part, protocol, values, reason, time.time())
        scores[wanted] = found | ({"clocks": clocks(device)} if declared["alone"] else {})
    write_json(path, scores)
    return failures


def _as_trained(cell: Cell) -> Generator:
    """Return a cell's generator in the memory format, and compiled, as it trained."""
    network = generator(cell.nets, cell.size)
    if cell.numerics["channels_last"]:
        network = network.to(memory_format=torch.channels_last)
    if cell.numerics["compile"]:
        network.compile()
    return network


def validate(learner: Learner) -> float:
    """Return how good the present students are on the validation split; higher is better."""
    select = learner.cell.select
    name = select["best_on_val"]
    declared = plugins.declared("metric", name, name)
    metric_class: type[ImageMetric] = plugins.load("metric", name, name)
    found = []
    for student in learner.students:
        student.modules.eval()
        for direction in learner.task.directions:
            metric = metric_class(select["params"])
            for _, output, target in _images(learner.cell, student, direction, "val"):
                metric.add(output, target)
            values = metric.value()
            found.append(values[declared["headline"] or next(iter(values))])
        student.modules.train()
    return (1.0 if declared["better"] == "higher" else -1.0) * math.fsum(found) / len(found)


def _students(cell: Cell, path: Path, device: torch.device) -> list[Player]:
    """Return a trained cell's student, or its peers, from a file of its networks."""
    tensors, _ = checkpoint.load(path)
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
            torch.stack([normalise(dataset.read(split, domain, i, cell.size)) for i in indices]).to(
                student.device
            )
            for domain, indices in ((source, places), (target, real))
        )
        with autocast(student.device, cell.numerics):
            output = task.generate(student.generators, direction, inputs)
        yield to_8_bits(inputs), to_8_bits(output), to_8_bits(truth)


def to_8_bits(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], rounded to the 256 levels that an image file holds."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).div(255)


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over peers, value by value."""
    if not values:
        return {}
    return {name: math.fsum(v[name] for v in values) / len(values) for name in values[0]}


def _keep_samples(
    store: Store, cell: Cell, direction: str, batch: Sequence[Tensor], first: int, task: Task
) -> None:
    """Write test images at even distances: input, output and, where there is one, ground truth."""
    source, _ = task.directions[direction]
    count = open_dataset(cell.dataset).count("test", source)
    places = [number * count // SAMPLES for number in range(min(SAMPLES, count))]
    for number, place in enumerate(places):
        if first <= place < first + len(batch[0]):
            for role, images in zip(("input", "output", "target"), batch, strict=True):
                if role != "target" or task.paired:
                    image = images[place - first].cpu()
                    pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
                    path = store.folder(cell.key) / "samples" / f"{direction}-{number}-{role}.png"
                    with replacing(path) as file:
                        Image.fromarray(pixels).save(file, format="PNG")
