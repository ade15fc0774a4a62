"""Images that someone else made are scored as a cell's own outputs are, under the same protocol."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.contracts.image import decode
from bench.contracts.making import EVAL
from bench.contracts.metric import Metric
from bench.evaluate.feed import Maker, scene_of, score_outputs, weights_protocol
from bench.evaluate.generate import batches, to_8_bits
from bench.fetch.missing import missing_weights
from bench.plan.cell import Cell
from bench.plan.scores import Wanted, image_scores, modes_of, record
from bench.plugins.registry import Part
from bench.store.layout import Store
from bench.train.batches import normalise
from bench.train.learner import open_task

Json = dict[str, Any]


def maker_of(
    cell: Cell, files: Sequence[Path], direction: str, store: Store, device: torch.device
) -> Maker:
    """Return image files, one per test image and in their order, as what makes the outputs."""

    def read(places: range, given: Mapping[str, Tensor]) -> Tensor:
        images = torch.stack([normalise(decode(files[place])) for place in places])
        return to_8_bits(images).to(device)

    task, split = open_task(cell), cell.scored_on
    made = functools.partial(batches, cell, task, direction, split, EVAL, device, read)
    return Maker(made, lambda wanted: scene_of(cell, wanted, store, device))


def score_files(
    cell: Cell,
    metrics: Sequence[Part[Metric]],
    direction: str,
    files: Sequence[Path],
    store: Store,
    device: torch.device,
    follow: Callable[[Iterable[Any]], Iterable[Any]] = lambda steps: steps,
) -> list[Json]:
    """Score image files in the place of a cell's outputs; nothing of it is kept but real features.

    Args:
        cell: any of those whose outputs have this protocol; it need not be trained.
        metrics: those of images are asked.
        direction: of the cell's task.
        files: one per test image, in the order of the data set.
        store: where the networks lie that a suite trains to judge by.
        device: where to compute.
        follow: wraps the loop over batches, for a progress bar.

    Returns:
        One record per metric as in a cell's `scores.json`, with its `id`; what cannot be had has a
        reason and no values.

    Raises:
        DataError: an image is damaged; the message names the file.
    """
    mode = modes_of(cell)[0]
    asked = [w for w in image_scores(cell, metrics) if (w.direction, w.mode) == (direction, mode)]
    wanted = [w._replace(reason=w.reason or _why_not(w, store)) for w in asked]
    possible = [w for w in wanted if not w.reason]
    values: dict[str, dict[str, float]] = {}
    errors: dict[str, dict[str, float]] = {}
    failures: dict[str, str] = {}
    if possible:
        maker = maker_of(cell, files, direction, store, device)
        followed = maker._replace(outputs=lambda: iter(follow(maker.outputs())))
        feed, values = score_outputs(cell, followed, possible, store)
        errors = {name: sample.errors() for name, sample in feed.sampled.items()}
        failures = {n: text.strip().splitlines()[-1] for n, text in feed.failures.items()}
    found = []
    for w in wanted:
        protocol = w.protocol if w.reason else w.protocol | weights_protocol(w.metric)
        reason = w.reason or failures.get(w.id, "")
        now = time.time()
        score = record(w.metric, protocol, values.get(w.id, {}), reason, now, errors.get(w.id, {}))
        found.append({"id": w.id, **score})
    return found


def _why_not(wanted: Wanted, store: Store) -> str:
    """Say why images alone cannot be scored so, or not yet; "" if they can."""
    if "denoiser" in wanted.metric.declared.needs:
        return "asks a network, and these are images"
    if why := missing_weights(wanted.metric):
        return why
    judge = wanted.judge
    if judge and store.state(judge.key).status != "done":
        return (
            f"the network that judges, cell {judge.key}, is not trained in {store.root}: "
            "`distillbench run` of the suite trains it"
        )
    return ""
