"""Images that are decoded once per process: by all cohorts, students and metrics that read them.

What was decoded stays in memory, split by split, as far as there is room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.contracts.dataset import Dataset
from bench.contracts.image import Pixels
from bench.plan.cell import open_dataset
from bench.plugins.registry import Part

AT_MOST = 2**31  # bytes of images that a process keeps
OF_A_SPLIT = 2**30  # of one domain at one size; a larger split is decoded at every reading

Place = tuple[object, ...]  # a data set by its content, split, domain, size


class Kept:
    """The images of one split, domain and size, [N, S, S, 3]: each from its first reading on."""

    def __init__(self, count: int, size: int) -> None:
        self.pixels: NDArray[np.uint8] = np.empty((count, size, size, 3), np.uint8)
        self.there: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.shown = self.pixels.view()
        self.shown.flags.writeable = False


_KEPT: dict[Place, Kept] = {}  # of this process; what was read last stands last


def open_decoded(part: Part[Dataset]) -> Dataset:
    """Return a data set that shares what it decodes with all others of its content here.

    Its images are the same, and may not be written to.
    """
    dataset = open_dataset(part)
    content = (type(dataset), part.fingerprint, str(part.params))
    dataset.read = _Reader(dataset, content)  # type: ignore[method-assign]  # of this one alone
    return dataset


class _Reader:
    """Takes the place of a data set's `read`."""

    def __init__(self, dataset: Dataset, content: Place) -> None:
        self.dataset, self.content = dataset, content

    def __call__(self, split: str, domain: str, index: int, size: int) -> Pixels:
        kept = self._kept(split, domain, size)
        if kept is None:
            return self._decode(split, domain, index, size)
        if not kept.there[index]:
            np.copyto(kept.pixels[index], self._decode(split, domain, index, size), casting="no")
            kept.there[index] = True
        shown: Pixels = kept.shown[index]
        return shown

    def _decode(self, split: str, domain: str, index: int, size: int) -> Pixels:
        return type(self.dataset).read(self.dataset, split, domain, index, size)

    def _kept(self, split: str, domain: str, size: int) -> Kept | None:
        """Return where the images of a split are kept; None: it is too large for that."""
        place = (*self.content, split, domain, size)
        kept = _KEPT.pop(place, None)
        if kept is None:
            count = self.dataset.count(split, domain)
            new = count * size * size * 3
            if new > OF_A_SPLIT:
                return None
            while _KEPT and sum(k.pixels.nbytes for k in _KEPT.values()) + new > AT_MOST:
                del _KEPT[next(iter(_KEPT))]
            kept = Kept(count, size)
        _KEPT[place] = kept
        return kept
