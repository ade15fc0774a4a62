"""What a score's sampling error over images is computed from: made by metrics, kept by the store.

Per cell one file, `images.npz`, of arrays by name:

    names/DIRECTION     the test images, in order
    each/ID/VALUE       what a score is the mean of: each image's own value, [N]
    resampled/ID/VALUE  a score of resamples of the images, [R]

Of peers, all are means over them, as the scores are.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.contracts.dataset import Dataset
from bench.errors import Damaged
from bench.maths.bootstrap import Values, error_of_mean, error_of_resamples
from bench.plan.cell import Cell, open_dataset
from bench.plan.scores import Wanted, count_outputs
from bench.store.arrays import Arrays, read_arrays, write_arrays
from bench.store.layout import Store


class Sampled(NamedTuple):
    """A score's values by name: those of each image, or of each resample."""

    each: Mapping[str, Values]
    resampled: Mapping[str, Values]

    def errors(self) -> dict[str, float]:
        """Return the sampling error of each value that has one."""
        found = {name: error_of_mean(x) for name, x in self.each.items()}
        found |= {name: error_of_resamples(x) for name, x in self.resampled.items()}
        return {name: error for name, error in found.items() if math.isfinite(error)}


def mean(samples: Sequence[Sampled]) -> Sampled:
    """Return the mean over peers."""
    if not samples:
        return Sampled({}, {})
    return Sampled(*(_mean(of_peers) for of_peers in zip(*samples, strict=True)))


def _mean(of_peers: Iterable[Mapping[str, Values]]) -> dict[str, Values]:
    found = list(of_peers)
    return {name: np.mean([x[name] for x in found], axis=0) for name in found[0]}


def kept(cell: Cell, store: Store) -> Arrays:
    """Return what is kept of a cell; nothing where it is missing or damaged: it is made again."""
    with contextlib.suppress(Damaged):
        return read_arrays(store.images(cell.key))
    return {}


def is_lost(score: Mapping[str, Any], name: str, arrays: Arrays) -> bool:
    """Say whether a score has errors and what they were computed from is gone."""
    held = {key.partition("/")[2] for key in arrays}
    return any(f"{name}/{value}" not in held for value in score.get("errors", {}))


def keep(arrays: Arrays, wanted: Wanted, sample: Sampled) -> dict[str, float]:
    """Add what a score's errors are computed from to what is kept; return the errors."""
    errors = sample.errors()
    for kind, values in sample._asdict().items():
        arrays |= {f"{kind}/{wanted.id}/{n}": x for n, x in values.items() if n in errors}
    return errors


def write(cell: Cell, store: Store, arrays: Arrays) -> None:
    """Keep it, with the names of the images."""
    if arrays:
        dataset, task = open_dataset(cell.dataset), cell.task.declared
        for direction, (source, _) in task.directions.items():
            count = count_outputs(cell, direction, cell.scored_on)
            found = names(dataset, cell.scored_on, source, count)
            arrays[f"names/{direction}"] = np.array(found)
        write_arrays(store.images(cell.key), arrays)


def names(dataset: Dataset, split: str, domain: str, count: int) -> list[str]:
    """Return what the outputs were made from: the images' files, or their places."""
    files = dataset.files(split, domain) if domain else ()
    if len(files) == count:
        return [file.name for file in files]
    return [f"{f'{split} {domain}' if domain else 'output'} {place}" for place in range(count)]
