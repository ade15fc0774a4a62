"""Images that are decoded once per machine: by all workers, cohorts, students and metrics.

What was decoded is shared, split by split, as far as there is room; each process checks an image
when it first reads it.
"""

from __future__ import annotations

import functools
import platform
import zlib
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

import bench.contracts
import bench.data
from bench.contracts.dataset import Dataset, fingerprint
from bench.contracts.image import Pixels
from bench.plan.cell import open_dataset, without_path
from bench.plan.identity import identity
from bench.plugins.registry import Part
from bench.train.shared_bytes import shared_bytes

AT_MOST = 2**31  # bytes of images that a process has at hand
OF_A_SPLIT = 2**30  # of one domain at one size; a larger split is decoded at every reading

Place = tuple[object, ...]  # a data set by its content, split, domain, size


class Kept:
    """The images of one split, domain and size, [N, S, S, 3]: each from its first reading on."""

    def __init__(self, name: str, count: int, size: int) -> None:
        whole = shared_bytes(name, count * (4 + size * size * 3))
        self.checks = whole[: 4 * count].view(np.uint32)  # of each image; 0: perhaps there is none
        self.pixels = whole[4 * count :].reshape(count, size, size, 3)
        self.there: NDArray[np.bool_] = np.zeros(count, np.bool_)  # and found whole by this process
        self.shown = self.pixels.view()
        self.shown.flags.writeable = False

    def is_whole(self, index: int) -> bool:
        """Say whether an image is there as it was decoded."""
        check = self.checks[index]
        return bool(check) and zlib.crc32(self.pixels[index]) == check

    def keep(self, index: int, pixels: Pixels) -> None:
        """Take up an image."""
        np.copyto(self.pixels[index], pixels, casting="no")
        self.checks[index] = zlib.crc32(self.pixels[index])


_KEPT: dict[Place, Kept] = {}  # of this process; what was read last stands last


def open_decoded(part: Part[Dataset]) -> Dataset:
    """Return a data set that shares what it decodes with all others of its content here.

    Its images are the same, and may not be written to.
    """
    dataset = open_dataset(part)
    data = [part.name, part.version, part.source_hash(), part.fingerprint]
    content = identity([*data, without_path(part.params), *_decoder()])
    dataset.read = _Reader(dataset, (type(dataset), content))  # type: ignore[method-assign]  # of this one alone
    return dataset


class _Reader:
    """Takes the place of a data set's `read`."""

    def __init__(self, dataset: Dataset, content: tuple[type[Dataset], str]) -> None:
        self.dataset, self.content = dataset, content

    def __call__(self, split: str, domain: str, index: int, size: int) -> Pixels:
        kept = self._kept(split, domain, size)
        if kept is None:
            return self._decode(split, domain, index, size)
        if not kept.there[index]:
            if not kept.is_whole(index):
                kept.keep(index, self._decode(split, domain, index, size))
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
            name = identity([self.content[1], split, domain, size, count])
            kept = Kept(name, count, size)
        _KEPT[place] = kept
        return kept


@functools.cache
def _decoder() -> list[str]:
    """Return what can change the pixels of a file: code, libraries, the kind of processor."""
    files = [
        *Path(bench.data.__file__).parent.glob("*.py"),
        *Path(bench.contracts.__file__).parent.glob("*.py"),
    ]
    libraries = [PIL.__version__, str(features.version("jpg")), np.__version__]
    return [fingerprint(*sorted(files)), *libraries, platform.machine()]
