"""Two methods image by image: the sampling error of their difference, and where it is largest.

Both were held against the same test images, and against the same resamples of them, so what an easy
or a hard image does to both cancels: the error of the difference is that of the differences.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.maths.bootstrap import Values, error_of_mean, error_of_resamples
from bench.plan.matrix import Plan
from bench.plan.scores import Wanted, image_scores, modes_of
from bench.store.arrays import Arrays, read_arrays
from bench.store.layout import Store

SHOWN = 5  # images of a list


class OverImages(NamedTuple):
    """Two methods' scores over the test images of one place, as means over common seeds."""

    names: Sequence[str]  # of the images
    new: Values  # [N], each image's own, or [R], of each resample
    base: Values
    is_each: bool  # which of the two
    cells: tuple[str, str]  # keys, at the first common seed
    direction: str
    mode: str  # in which outputs were made

    @property
    def error(self) -> float:
        """The standard error over images of the difference of the means; nan if there is none."""
        difference = self.new - self.base
        return error_of_mean(difference) if self.is_each else error_of_resamples(difference)

    def furthest(self) -> list[int]:
        """Return the places of the five images where the two differ most, the furthest first."""
        apart = np.abs(self.new - self.base)
        return [int(i) for i in np.argsort(-np.nan_to_num(apart), kind="stable")[:SHOWN]]


class Kept:
    """What a store keeps of the scores of a plan's cells."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store

    def between(
        self, metric: str, value: str, direction: str, pairs: Sequence[tuple[str, str]]
    ) -> OverImages | None:
        """Return what two methods have over images; None where some score has no error.

        Args:
            metric: as rows call it, with the mode in brackets where it is not the first.
            value: as rows call it, likewise.
            direction: of the score.
            pairs: keys of both methods' cells at each common seed.

        Raises:
            Damaged: the file of a cell cannot be read.
        """
        if not pairs:
            return None
        wanted = self._wanted(pairs[0][0], metric, direction)
        value = value.removesuffix(f" ({wanted.mode})")
        for kind in ("each", "resampled"):
            name = f"{kind}/{wanted.id}/{value}"
            if all(name in self._arrays(key) for pair in pairs for key in pair):
                held = np.array([[self._arrays(key)[name] for key in pair] for pair in pairs])
                new, base = held.mean(axis=0)
                names = self._arrays(pairs[0][0])[f"names/{direction}"].tolist()
                is_each = kind == "each"
                return OverImages(names, new, base, is_each, pairs[0], direction, wanted.mode)
        return None

    def _wanted(self, key: str, metric: str, direction: str) -> Wanted:
        cell = self.plan.cells[key]
        first = modes_of(cell)[0]
        (found,) = (
            w
            for w in image_scores(cell, self.plan.metrics)
            if w.direction == direction
            and metric == w.metric.name + (f" ({w.mode})" if w.mode != first else "")
        )
        return found

    @functools.cache  # noqa: B019 - it lives as long as one command
    def _arrays(self, key: str) -> Arrays:
        path = self.store.images(key)
        return read_arrays(path) if path.exists() else {}
