"""A trained cell's test outputs are made once and fed to every metric of images.

A score carries its protocol: split, number of images, size, resize filter, rounding, which
checkpoint, what the real set is. Scores have keys of their own, so that a new metric evaluates
and never trains.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.contracts.kinds import FEATURES
from bench.contracts.metric import Features, Metric, Predictor, Scene
from bench.evaluate.feed import Feed, Images, joined
from bench.fetch import weights
from bench.maths.seed import derive
from bench.plan.cell import Cell, open_dataset, without_path
from bench.plan.identity import identity
from bench.plan.scores import (
    RESIZE,
    Wanted,
    count_outputs,
    image_scores,
    record,
    snapshot_scores,
)
from bench.plugins import Part
from bench.store.files import replacing
from bench.store.results import Store
from bench.train import checkpoint
from bench.train.batches import normalise
from bench.train.device import autocast, full_precision
from bench.train.learner import open_task
from bench.train.player import Player, below

BATCH = 16  # images made at once, unless the suite says otherwise; eval mode: it changes no image
SAMPLES = 5  # test outputs kept for the grids, at even distances


class Made(NamedTuple):
    """A batch of test outputs: [N, 3, S, S] in [0, 1], of 8 bits."""

    output: Tensor
    target: Tensor | None  # ground truth
    shown: Mapping[str, Tensor]  # role on a sample sheet -> images


def evaluate(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part[Metric]],
    device: torch.device,
    watched: Sequence[Part[Metric]] = (),
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
        mine = [w for w in possible if (w.step, w.direction) == (step, direction)]
        path = store.snapshot(cell.key, step) if step else store.checkpoint(cell.key)
        students = open_students(cell, path, device)
        for student in students:
            is_first = step == 0 and student is students[0]
            found, lost = _score(cell, student, mine, store, is_first)
            for name, value in found.items():
                values[name].append(value)
            failures |= lost
    for w in wanted:
        if w.reason or values[w.id]:
            mean = _mean(values[w.id])
            protocol = w.protocol | _weights_protocol(w.metric)
            scores[w.id] = record(w.metric, protocol, mean, w.reason, time.time())
    if wanted:
        store.write(cell.key, "scores.json", scores)
    return failures


def _score(
    cell: Cell, student: Player, wanted: Sequence[Wanted], store: Store, keeps_samples: bool
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Make a student's test outputs in one direction and score them.

    Returns:
        Id -> values, and metric -> traceback of those that failed.
    """
    direction, device = wanted[0].direction, student.device
    dataset = open_dataset(cell.dataset)
    scenes = {
        w.id: Scene(device, dataset, cell.size, _judge(cell, student, w, store)) for w in wanted
    }
    feed = Feed({w.id: w.metric for w in wanted}, scenes)
    for batch in outputs(cell, student, direction, "test"):
        if keeps_samples:
            _keep_samples(store, cell, direction, batch, feed.count)
        with full_precision():
            feed.add(Images(batch.output, batch.target))
    real = functools.partial(_real_features, cell, direction, store)
    with full_precision():
        found = feed.values(real)
    names = {w.id: w.metric.name for w in wanted}
    return found, {names[name]: text for name, text in feed.failures.items()}


def _judge(
    cell: Cell, student: Player, wanted: Wanted, store: Store
) -> Callable[[], Predictor] | None:
    """Return what opens the network that a metric judges by, if it asks for one."""
    if wanted.judge is not None:
        return functools.partial(_open_judge, wanted.judge, store, student.device)
    if cell.task.declared.makes != "images":
        return lambda: functools.partial(_predict, student)
    return None


def _open_judge(judge: Cell, store: Store, device: torch.device) -> Predictor:
    (player,) = open_students(judge, store.checkpoint(judge.key), device)
    return functools.partial(_predict, player)


@torch.no_grad()
def _predict(player: Player, images: Tensor) -> Tensor:
    """Return what a judge makes of images [N, 3, S, S] in [-1, 1]."""
    (network,) = player.generators.values()
    output: Tensor = network(images)[0]
    return output


def _weights_protocol(metric: Part[Metric]) -> dict[str, Any]:
    """Return the sha256 of every pretrained network that had a say in a score."""
    needed = metric.declared.pretrained(metric.params)
    return {"weights": {name: weights.look(name)[1] for name in needed}} if needed else {}


def _real_features(
    cell: Cell, direction: str, store: Store, features: str, extractor: Extractor
) -> Features:
    """Return the features of the real images of a direction, from the store if they are there.

    They are kept by content: the images, how they are resized, the extractor and its weights.
    """
    task, dataset = cell.task.declared, open_dataset(cell.dataset)
    _, domain = task.directions[direction]
    declaration = FEATURES.declaration(features, features)
    needed = [weights.look(name)[1] for name in declaration.says.weights]
    data: list[Any] = [cell.dataset.name, cell.dataset.version, cell.dataset.fingerprint]
    data += [without_path(cell.dataset.params), domain, cell.size, RESIZE]
    data += [task.real] if task.real != "test" else []
    path = store.real(identity([*data, features, declaration.version, *needed]))
    if path.exists():
        return checkpoint.load(path)[0]
    parts = []
    count = dataset.count(task.real, domain)
    for first in range(0, count, BATCH):
        places = range(first, min(first + BATCH, count))
        pixels = [normalise(dataset.read(task.real, domain, i, cell.size)) for i in places]
        parts.append(extractor(to_8_bits(torch.stack(pixels)), first))
    found = joined(parts)
    checkpoint.save(path, dict(found), {"features": features})
    return found


def open_students(cell: Cell, path: Path, device: torch.device) -> list[Player]:
    """Return a trained cell's student, or its peers, from a file of its networks.

    Raises:
        StoreError: the file is missing or damaged.
    """
    tensors, _ = checkpoint.load(path)
    students = []
    for number in range(cell.peers):
        student = Player(cell, cell.nets, open_task(cell), device)
        student.load_networks(below(tensors, f"student{number}"))
        student.freeze()
        student.settle()
        students.append(student)
    return students


def outputs(cell: Cell, student: Player, direction: str, split: str) -> Iterator[Made]:
    """Yield a student's outputs of a split, batch by batch, and what they are held against."""
    dataset, task = open_dataset(cell.dataset), student.task
    batch = int(cell.outputs.get("batch", BATCH))

    def read(domain: str, index: int) -> Tensor:
        return normalise(dataset.read(split, domain, index, cell.size))

    def item(index: int) -> dict[str, Tensor]:
        seed = derive("outputs", cell.dataset.name, cell.size, direction, index)
        return task.item(read, direction, index, cell.size, np.random.default_rng(seed))

    count = count_outputs(cell, direction, split)
    for first in range(0, count, batch):
        rows = [item(i) for i in range(first, min(first + batch, count))]
        items = {n: torch.stack([row[n] for row in rows]).to(student.device) for n in rows[0]}
        with torch.no_grad(), autocast(student.device, cell.numerics):
            output = task.make(student.judged(), direction, items, cell.outputs)
        truth = task.truth(direction, items)
        shown = {role: to_8_bits(x) for role, x in task.shown(direction, items).items()}
        yield Made(to_8_bits(output), None if truth is None else to_8_bits(truth), shown)


def to_8_bits(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], rounded to the 256 levels that an image file holds."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).div(255)


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over peers, value by value."""
    if not values:
        return {}
    return {name: math.fsum(v[name] for v in values) / len(values) for name in values[0]}


def _keep_samples(store: Store, cell: Cell, direction: str, batch: Made, first: int) -> None:
    """Write test outputs at even distances, and what they were made from and held against."""
    if cell.task.declared.makes != "images":
        return
    count = count_outputs(cell, direction)
    places = [number * count // SAMPLES for number in range(min(SAMPLES, count))]
    for number, place in enumerate(places):
        if first <= place < first + len(batch.output):
            for role, images in {"output": batch.output, **batch.shown}.items():
                image = images[place - first].cpu()
                pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
                path = store.folder(cell.key) / "samples" / f"{direction}-{number}-{role}.png"
                with replacing(path) as file:
                    Image.fromarray(pixels).save(file, format="PNG")
