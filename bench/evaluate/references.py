"""Real images are scored as samples are: what a generator of samples could reach, its floor."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contracts.metric import Metric, Scene
from bench.evaluate.feed import Feed, Images, real_features, weights_protocol
from bench.evaluate.generate import BATCH, to_8_bits
from bench.maths.seed import derive
from bench.plan.cell import Cell
from bench.plan.scores import Wanted, record, redraw, reference_id, references
from bench.plugins.registry import Part
from bench.store.layout import Store, read_json, write_json
from bench.train.batches import normalise
from bench.train.decoded import open_decoded
from bench.train.device import full_precision


def score_references(
    cell: Cell, store: Store, metrics: Sequence[Part[Metric]], device: torch.device
) -> dict[str, str]:
    """Score the real images beside a cell's samples, by every metric that they lack.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.
    """
    path = store.reference(reference_id(cell))
    there = read_json(path)
    wanted = [w for w in references(cell, metrics) if w.id not in there]
    found: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for direction in dict.fromkeys(w.direction for w in wanted):
        mine = {w.id: w for w in wanted if w.direction == direction}
        scene = Scene(device, open_decoded(cell.dataset), cell.size)
        feed = Feed({name: w.metric for name, w in mine.items()}, dict.fromkeys(mine, scene))
        with full_precision():
            for images in _drawn(cell, next(iter(mine.values()))):
                feed.add(Images(images.to(device)))
            values = feed.values(functools.partial(real_features, cell, direction, store))
        failures |= {mine[name].metric.name: text for name, text in feed.failures.items()}
        for name, value in values.items():
            metric, protocol = mine[name].metric, mine[name].protocol
            protocol = {**protocol, **weights_protocol(metric)}
            found[name] = record(metric, protocol, value, "", time.time())
    if found:
        write_json(path, read_json(path) | found)  # another worker may have been at it
    return failures


def _drawn(cell: Cell, wanted: Wanted) -> Iterator[Tensor]:
    """Yield real images, [N, 3, S, S] in [0, 1]; always the same for a data set and a number."""
    dataset, source = open_decoded(cell.dataset), redraw(cell, wanted.direction)
    _, domain = cell.task.declared.directions[wanted.direction]
    rng = np.random.default_rng(derive("references", cell.dataset.name, wanted.direction))
    count = int(wanted.protocol["images"])
    places = rng.choice(source.images, count, replace=not source.is_disjoint)
    for first in range(0, count, BATCH):
        some = places[first : first + BATCH].tolist()
        pixels = [normalise(dataset.read(source.split, domain, i, cell.size)) for i in some]
        yield to_8_bits(torch.stack(pixels))
