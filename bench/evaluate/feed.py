"""A trained cell's test outputs are fed to every metric of images, and their scores are kept.

A score carries its protocol: split, number of images, size, resize filter, rounding, which
checkpoint, what the real set is. Scores have keys of their own, so that a new metric evaluates
and never trains.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.contracts.kinds import FEATURES
from bench.contracts.metric import Features, Metric, Scene, SetMetric
from bench.errors import Damaged, Interrupted
from bench.evaluate import sampled
from bench.evaluate.generate import BATCH, keep_samples, to_8_bits
from bench.evaluate.made_by import Maker, makers
from bench.evaluate.sampled import Sampled
from bench.fetch import weights
from bench.maths.bootstrap import Draws, draw
from bench.plan.cell import Cell, real_split, without_path
from bench.plan.identity import identity
from bench.plan.scores import (
    RESIZE,
    Wanted,
    image_scores,
    modes_of,
    needs_no_outputs,
    record,
    snapshot_scores,
)
from bench.plugins.registry import Part
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import normalise
from bench.train.decoded import open_decoded
from bench.train.device import full_precision


def evaluate(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part[Metric]],
    device: torch.device,
    watched: Sequence[Part[Metric]] = (),
    say: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Score a trained cell by every metric of images that it lacks, and keep some samples.

    Args:
        cell: what was trained.
        store: where its checkpoint lies and its scores go.
        metrics: by which the result is scored; metrics of networks are passed over.
        device: where to compute.
        watched: metrics by which its snapshots are scored.
        say: told what a person may want to know.
        stop: whether to stop after this batch of outputs.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.

    Raises:
        Damaged: the cell's weights on disk are not those with which it ended.
        Interrupted: `stop` said so; what was made from noise is kept.
    """
    scores, kept = store.scores(cell.key), sampled.kept(cell, store)
    every = [*image_scores(cell, metrics), *snapshot_scores(cell, watched)]
    wanted = [w for w in every if w.id not in scores or sampled.is_lost(scores[w.id], w.id, kept)]
    failures: dict[str, str] = {}
    scale: Mapping[str, float] = {}  # of latents
    values: dict[str, list[dict[str, float]]] = {w.id: [] for w in wanted}
    samples: dict[str, list[Sampled]] = {w.id: [] for w in wanted}
    possible = [w for w in wanted if not w.reason]
    for place in dict.fromkeys((w.step, w.direction, w.mode) for w in possible):
        mine = [w for w in possible if (w.step, w.direction, w.mode) == place]
        step, _, mode = place
        several = makers(cell, store, device, mine[0], say)
        for maker in several:
            scale = maker.scale
            is_first = step == 0 and maker is several[0] and mode == modes_of(cell)[0]
            is_shown = is_first and cell.scored_on == "test"
            feed, found = score_outputs(cell, maker, mine, store, is_shown, stop)
            for name, value in found.items():
                values[name].append(value)
                samples[name].append(feed.sampled[name])
            failures |= {w.metric.name: feed.failures[w.id] for w in mine if w.id in feed.failures}
    for w in wanted:
        if w.reason or values[w.id]:
            mean = _mean(values[w.id])
            protocol = {**w.protocol, **weights_protocol(w.metric), **scale}
            errors = sampled.keep(kept, w, sampled.mean(samples[w.id]))
            scores[w.id] = record(w.metric, protocol, mean, w.reason, time.time(), errors)
    if wanted:
        sampled.write(cell, store, kept)
        store.write(cell.key, "scores.json", scores)
    return failures


def score_outputs(
    cell: Cell,
    maker: Maker,
    wanted: Sequence[Wanted],
    store: Store,
    keeps_samples: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Feed, dict[str, dict[str, float]]]:
    """Make test outputs in one direction, that of `wanted`; return their feed, and id -> values.

    Raises:
        Interrupted: `stop` said so.
    """
    direction = wanted[0].direction
    feed = Feed({w.id: w.metric for w in wanted}, {w.id: maker.scene(w) for w in wanted})
    if keeps_samples or not all(needs_no_outputs(w.metric) for w in wanted):
        for batch in maker.outputs():
            if stop():
                raise Interrupted("stopped; the same command goes on from here.")
            if keeps_samples:
                keep_samples(store, cell, direction, batch, feed.count)
            with full_precision():
                feed.add(Images(batch.output, batch.target))
    real = functools.partial(real_features, cell, direction, store)
    task = cell.task.declared
    drawn = functools.partial(draw, paired=task.paired and task.real == "test")
    with full_precision():
        return feed, feed.values(real, drawn if wanted[0].step == 0 else None)


def weights_protocol(metric: Part[Metric]) -> dict[str, Any]:
    """Return the sha256 of every pretrained network that had a say in a score."""
    needed = metric.declared.pretrained(metric.params)
    return {"weights": {name: weights.look(name)[1] for name in needed}} if needed else {}


def real_features(
    cell: Cell, direction: str, store: Store, features: str, extractor: Extractor
) -> Features:
    """Return the features of the real images of a direction, from the store if they are there.

    They are kept by content: the images, how they are resized, the extractor and its weights.
    """
    task, dataset = cell.task.declared, open_decoded(cell.dataset)
    _, domain = task.directions[direction]
    declaration = FEATURES.declaration(features, features)
    needed = [weights.look(name)[1] for name in declaration.says.weights]
    data: list[Any] = [cell.dataset.name, cell.dataset.version, cell.dataset.fingerprint]
    data += [without_path(cell.dataset.params), domain, cell.size, RESIZE]
    split = real_split(task, cell.scored_on)
    data += [split] if split != "test" else []
    path = store.real(identity([*data, features, declaration.version, *needed]))
    with contextlib.suppress(Damaged):  # then they are computed again
        if path.exists():
            return checkpoint.load(path)[0]
    parts = []
    count = dataset.count(split, domain)
    for first in range(0, count, BATCH):
        places = range(first, min(first + BATCH, count))
        pixels = [normalise(dataset.read(split, domain, i, cell.size)) for i in places]
        parts.append(extractor(to_8_bits(torch.stack(pixels)), first))
    found = joined(parts)
    checkpoint.save(path, dict(found), {"features": features})
    return found


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over peers, value by value."""
    if not values:
        return {}
    return {name: math.fsum(v[name] for v in values) / len(values) for name in values[0]}


class Images(NamedTuple):
    """A batch of images to score."""

    output: Tensor  # [N, 3, H, W] float32 RGB in [0, 1], of 8 bits
    target: Tensor | None = None  # ground truth of the same shape


class Feed:
    """Builds up the scores of one set of images; a metric that fails leaves the others running.

    Each extractor runs once per image for all metrics that use it.
    """

    def __init__(self, parts: Mapping[str, Part[Metric]], scenes: Mapping[str, Scene]) -> None:
        """Open the metrics.

        Args:
            parts: id -> metric of images.
            scenes: id -> what it may ask for.
        """
        self.count = 0
        self.failures: dict[str, str] = {}  # id -> traceback
        self.sampled: dict[str, Sampled] = {}  # id -> what its error is computed from
        self.metrics: dict[str, Any] = {}
        self.extractors: dict[str, Extractor] = {}
        self.features: dict[str, list[Features]] = {}
        for name, part in parts.items():
            self._try(name, self._open, name, part, scenes[name])

    def add(self, images: Images) -> None:
        """Take in a batch."""
        seen: dict[str, Features] = {}  # what metrics share, of this batch
        for name, metric in self.metrics.items():
            self._try(name, self._feed, name, metric, images, seen)
        self.count += len(images.output)

    def values(
        self,
        real: Callable[[str, Extractor], Features],
        drawn: Callable[[int, int], Draws] | None = None,
    ) -> dict[str, dict[str, float]]:
        """Return id -> values of every metric that did not fail.

        Args:
            real: returns the real set's features, by name of the extractor and itself; asked once
                for each.
            drawn: returns resamples of so many outputs and real images; none: scores need no
                errors.
        """
        found: dict[str, dict[str, float]] = {}
        outputs = {name: joined(parts) for name, parts in self.features.items() if parts}
        reals: dict[str, Features] = {}

        def close(name: str, metric: Any) -> None:
            sample = Sampled({}, {})
            if isinstance(metric, SetMetric):
                features = metric.extractor(metric.params)
                if features not in reals and not metric.one_set:
                    reals[features] = real(features, self.extractors[features])
                pair = outputs[features], {} if metric.one_set else reals[features]
                value = metric.distance(*pair)
                if drawn:
                    draws = drawn(*(_images(side) for side in pair))
                    sample = Sampled({}, metric.resampled(*pair, draws))
            else:
                value = metric.value()
                if drawn:
                    own = {n: np.array(x, np.float64) for n, x in metric.each().items()}
                    sample = Sampled(own, {})
            found[name], self.sampled[name] = value, sample

        for name, metric in self.metrics.items():
            self._try(name, close, name, metric)
        return found

    def _open(self, name: str, part: Part[Metric], scene: Scene) -> None:
        metric: Any = part.load()(part.params)
        if isinstance(metric, SetMetric):
            features = metric.extractor(metric.params)
            if features not in self.extractors:
                extractor = FEATURES.load(features, part.name)
                self.extractors[features] = extractor(scene.device)
                self.features[features] = []
        else:
            metric.open(scene)
        self.metrics[name] = metric

    def _feed(self, name: str, metric: Any, images: Images, seen: dict[str, Features]) -> None:
        if isinstance(metric, SetMetric):
            features = metric.extractor(metric.params)
            if features not in seen:
                seen[features] = self.extractors[features](images.output, self.count)
                self.features[features].append(seen[features])
        else:
            metric.add(images.output, images.target)

    def _try(self, name: str, act: Callable[..., None], *given: Any) -> None:
        if name not in self.failures:
            try:
                act(*given)
            except Exception:
                self.failures[name] = traceback.format_exc()


def _images(features: Features) -> int:
    """Return of how many images these are."""
    return len(next(iter(features.values()), ()))


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of all batches as one."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
