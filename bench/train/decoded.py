"""Images that are decoded once per machine: by all workers, cohorts, students and metrics.

What was decoded is shared, split by split, as far as there is room; each process checks an image
when it first reads it.
"""

from __future__ import annotations

import functools
import platform
import uuid
import zlib
from importlib import metadata

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from bench.contracts.dataset import Dataset, fingerprint
from bench.contracts.image import Pixels
from bench.plan.cell import open_dataset, without_path
from bench.plan.identity import identity
from bench.plugins.registry import Part
from bench.plugins.source import ROOT
from bench.train.shared_bytes import shared_bytes

LIBRARIES = ("imageio", "scikit-image", "scipy", "tifffile")  # beside Pillow and NumPy, by versions
AT_MOST = 2**31  # bytes of images that a process has at hand
OF_A_SPLIT = 2**30  # of one domain at one size; a larger split is decoded at every reading

Place = tuple[object, ...]  # a data set by its content, split, domain, size


class Kept:
    """The images of one split, domain and size, [N, S, S, 3]: each from its first reading on."""

    def __init__(self, name: str, count: int, size: int) -> None:
        """Map them; without a name they are of this process alone."""
        length = count * (4 + size * size * 3)
        whole = shared_bytes(name, length) if name else np.zeros(length, np.uint8)
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

    Its images are the same, and may not be written to. Those of a user's own data set are shared
    within this process.
    """
    dataset = open_dataset(part)
    dataset.read = _Reader(dataset, content_of(part), part.is_ours)  # type: ignore[method-assign]  # of this one alone
    return dataset


def content_of(part: Part[Dataset]) -> str:
    """Return the identity of a data set's pixels: of its files, and of all that decodes them.

    What a user's own data set decodes with is not known: no other process has the same.
    """
    data = [part.name, part.version, part.source_hash(), part.fingerprint]
    whose = [] if part.is_ours else [_process()]
    return identity([*data, without_path(part.params), *_decoder(), *whose])


class _Reader:
    """Takes the place of a data set's `read`."""

    def __init__(self, dataset: Dataset, content: str, is_shared: bool) -> None:
        self.dataset, self.content, self.is_shared = dataset, content, is_shared

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
        place = (type(self.dataset), self.content, split, domain, size)
        kept = _KEPT.pop(place, None)
        if kept is None:
            count = self.dataset.count(split, domain)
            new = count * size * size * 3
            if new > OF_A_SPLIT:
                return None
            while _KEPT and sum(k.pixels.nbytes for k in _KEPT.values()) + new > AT_MOST:
                del _KEPT[next(iter(_KEPT))]
            name = identity([self.content, split, domain, size, count])
            kept = Kept(name if self.is_shared else "", count, size)
        _KEPT[place] = kept
        return kept


def _decoder() -> list[str]:
    """Return what can change the pixels of a file: code, libraries, the kind of processor."""
    formats = [str(features.version(name)) for name in ("jpg", "libjpeg_turbo", "webp", "zlib")]
    libraries = [PIL.__version__, *formats, np.__version__, *map(_version, LIBRARIES)]
    return [code_of("contracts", "data", "maths"), *libraries, platform.machine()]


@functools.cache
def code_of(*packages: str) -> str:
    """Return a hash of all files of packages of `bench`."""
    return fingerprint(*(f for p in packages for f in sorted((ROOT / "bench" / p).rglob("*.py"))))


@functools.cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # under another name, or not there
        return ""


@functools.cache
def _process() -> str:
    return uuid.uuid4().hex
