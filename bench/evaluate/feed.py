"""Feeds one set of images to several metrics: what evaluation and scoring of folders share."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.contracts.kinds import FEATURES
from bench.contracts.metric import Features, Metric, Scene, SetMetric
from bench.plugins import Part


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

    def values(self, real: Callable[[str, Extractor], Features]) -> dict[str, dict[str, float]]:
        """Return id -> values of every metric that did not fail.

        Args:
            real: returns the real set's features, by name of the extractor and itself; asked once
                for each.
        """
        found: dict[str, dict[str, float]] = {}
        outputs = {name: joined(parts) for name, parts in self.features.items() if parts}
        reals: dict[str, Features] = {}

        def close(name: str, metric: Any) -> None:
            if isinstance(metric, SetMetric):
                features = metric.features
                if features not in reals:
                    reals[features] = real(features, self.extractors[features])
                found[name] = metric.distance(outputs[features], reals[features])
            else:
                found[name] = metric.value()

        for name, metric in self.metrics.items():
            self._try(name, close, name, metric)
        return found

    def _open(self, name: str, part: Part[Metric], scene: Scene) -> None:
        metric: Any = part.load()(part.params)
        if isinstance(metric, SetMetric):
            features = metric.features
            if features not in self.extractors:
                extractor = FEATURES.load(features, part.name)
                self.extractors[features] = extractor(scene.device)
                self.features[features] = []
        else:
            metric.open(scene)
        self.metrics[name] = metric

    def _feed(self, name: str, metric: Any, images: Images, seen: dict[str, Features]) -> None:
        if isinstance(metric, SetMetric):
            features = metric.features
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


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of all batches as one."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
