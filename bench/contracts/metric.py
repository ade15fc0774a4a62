"""The contract of a metric: one file in `bench/metrics/`.

Unit, direction, source and worked examples are data that tables and tests read. A score carries
the metric's version: raise it whenever a value can change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.contracts.network import Generator

Features = Mapping[str, Tensor]  # name -> [N, ...] float32, on the CPU


class Metric:
    """What metrics of images and of networks declare."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # parameters a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1
    source: ClassVar[str] = ""  # definition, and which variant of it
    label: ClassVar[str] = ""  # heading of a table's column
    unit: ClassVar[str] = ""
    digits: ClassVar[int] = 2  # after the decimal point, in tables
    better: ClassVar[str] = ""  # "higher" or "lower"
    judges: ClassVar[str] = ""  # "images" or "network"
    needs: ClassVar[Sequence[str]] = ()  # "target": a ground truth; "labels": its classes; "gpu"
    features: ClassVar[str] = ""  # of sets: a file in bench/features/
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks of bench/fetch/weights.py
    weights_by: ClassVar[Mapping[str, Mapping[str, str]]] = {}  # parameter -> value -> network
    headline: ClassVar[str] = ""  # the one of several values that a table shows, if any
    alone: ClassVar[bool] = False  # whether nothing else may run on the machine meanwhile

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params


class ImageMetric(Metric):
    """A score over a set of images, built up batch by batch.

    Images are [N, 3, H, W] float32 RGB in [0, 1], already rounded to 8 bits.
    """

    judges = "images"
    checks: ClassVar[Mapping[str, tuple[Tensor, Tensor, Mapping[str, float]]]]
    """Worked examples: story -> (output, target, expected values)."""

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        raise NotImplementedError

    def value(self) -> dict[str, float]:
        """Return the score, or several by name."""
        raise NotImplementedError


class SetMetric(Metric):
    """A distance between two sets of images, from the features of `features`.

    A distance of few images is biased, and of another number of images is another quantity: the
    number is part of a score's protocol.
    """

    judges = "images"
    checks: ClassVar[Mapping[str, tuple[Features, Features, Mapping[str, float]]]]
    """Worked examples: story -> (features of outputs, of real images, expected values)."""

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance, or several values by name."""
        raise NotImplementedError


class LabelMetric(Metric):
    """A score of what a segmenter sees in the images against the labels they were made from."""

    judges = "images"
    needs = ("labels",)
    checks: ClassVar[Mapping[str, tuple[Tensor, Tensor, int, Mapping[str, float]]]]
    """Worked examples: story -> (predicted, labels, number of classes, expected values)."""

    def __init__(self, params: Mapping[str, Any], classes: Sequence[str]) -> None:
        super().__init__(params)
        self.classes = classes

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Take in one batch: [N, H, W] int64 each, places in `classes`; 255 is no label."""
        raise NotImplementedError

    def value(self) -> dict[str, float]:
        """Return the score, or several by name."""
        raise NotImplementedError


class NetworkMetric(Metric):
    """A property of the network alone: neither its weights nor the images matter."""

    judges = "network"

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Return the values for one image of the network's own size, at batch 1."""
        raise NotImplementedError
