"""Images that someone else made are scored as a cell's own outputs are, under the same protocol."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from bench.contracts.metric import Metric
from bench.evaluate.feed import score_outputs, weights_protocol
from bench.evaluate.generate import Made
from bench.evaluate.made_by import Maker, makers
from bench.fetch.missing import missing_weights
from bench.plan.cell import Cell
from bench.plan.scores import Wanted, image_scores, record
from bench.plugins.registry import Part
from bench.store.layout import Store

Json = dict[str, Any]
Follow = Callable[[Iterable[Made]], Iterable[Made]]


def score_files(
    cell: Cell,
    metrics: Sequence[Part[Metric]],
    store: Store,
    device: torch.device,
    follow: Follow = lambda steps: steps,
) -> list[Json]:
    """Score the images that a cell is given; nothing of it is kept but features of real images.

    Args:
        cell: with images in the place of training, in one direction or several.
        metrics: those of images are asked.
        store: where the networks lie that a suite trains to judge by.
        device: where to compute.
        follow: wraps the loop over batches, for a progress bar.

    Returns:
        One record per metric as in a cell's `scores.json`, with its `id`; what cannot be had has a
        reason and no values.

    Raises:
        DataError: an image is damaged, or has changed since it was given; the message names it.
    """
    assert cell.given is not None
    asked = [w for w in image_scores(cell, metrics) if w.direction in cell.given.files]
    wanted = [w._replace(reason=w.reason or _why_not(w, store)) for w in asked]
    possible = [w for w in wanted if not w.reason]
    values: dict[str, dict[str, float]] = {}
    errors: dict[str, dict[str, float]] = {}
    failures: dict[str, str] = {}
    for direction in dict.fromkeys(w.direction for w in possible):
        mine = [w for w in possible if w.direction == direction]
        (maker,) = makers(cell, store, device, mine[0])
        followed = maker._replace(outputs=functools.partial(_followed, maker, follow))
        feed, found_here = score_outputs(cell, followed, mine, store)
        values |= found_here
        errors |= {name: sample.errors() for name, sample in feed.sampled.items()}
        failures |= {n: text.strip().splitlines()[-1] for n, text in feed.failures.items()}
    found = []
    for w in wanted:
        protocol = w.protocol if w.reason else w.protocol | weights_protocol(w.metric)
        reason = w.reason or failures.get(w.id, "")
        now = time.time()
        score = record(w.metric, protocol, values.get(w.id, {}), reason, now, errors.get(w.id, {}))
        found.append({"id": w.id, **score})
    return found


def _followed(maker: Maker, follow: Follow) -> Iterator[Made]:
    yield from follow(maker.outputs())


def _why_not(wanted: Wanted, store: Store) -> str:
    """Say why images alone cannot be scored so, or not yet; "" if they can."""
    if why := missing_weights(wanted.metric):
        return why
    judge = wanted.judge
    if judge and store.state(judge.key).status != "done":
        return (
            f"the network that judges, cell {judge.key}, is not trained in {store.root}: "
            "`distillbench run` of the suite trains it"
        )
    return ""
