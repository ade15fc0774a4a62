"""The photographs that come with scikit-image, cut into windows without leaks.

Each photograph is divided by columns: the left 60 % are train, the next 20 % val, the right 20 %
test. Windows never cross a border, so no pixel is in two splits.
"""

from __future__ import annotations

import functools
from importlib.resources import as_file, files

from bench.contracts.dataset import fingerprint
from bench.contracts.image import Pixels, decode

SIDE = 80  # of a window, in pixels of the photograph, unless a data set says otherwise
BORDERS = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}


@functools.cache
def photograph(file: str) -> Pixels:
    """Return a photograph of scikit-image as RGB."""
    with as_file(files("skimage.data") / file) as path:
        return decode(path)


@functools.cache
def fingerprint_of(*names: str) -> str:
    """Return a hash of the files of these photographs."""
    return fingerprint(*names, *((files("skimage.data") / name).read_bytes() for name in names))


@functools.cache
def windows(
    file: str, split: str, stride: int, side: int = SIDE
) -> tuple[tuple[str, int, int], ...]:
    """Return (file, top, left) of every window of a split, on a grid of `stride` pixels."""
    height, width, _ = photograph(file).shape
    first, last = (int(border * width) for border in BORDERS[split])
    return tuple(
        (file, top, left)
        for top in range(0, height - side + 1, stride)
        for left in range(first, last - side + 1, stride)
    )


def cut(window: tuple[str, int, int], side: int = SIDE) -> Pixels:
    """Return the pixels of a window: [side, side, 3]."""
    file, top, left = window
    return photograph(file)[top : top + side, left : left + side]
