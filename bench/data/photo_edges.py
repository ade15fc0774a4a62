"""Edges to photographs, from colour photographs that come with scikit-image."""

from __future__ import annotations

import numpy as np

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import cut, fingerprint_of, windows

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
STRIDE = {"train": 24, "val": 40, "test": 40}


class PhotoEdges(Dataset):
    """A: Canny edges, black on white; B: the crop of a photograph they were found in.

    Needs no download. The edges (sigma 1.5, thresholds 0.02 and 0.06) are found in the resized
    crop, so they are one pixel wide at any size.
    """

    source = "scikit-image's data folder: five colour photographs"
    licence = "CC0, CC BY and public domain; see scikit-image's data README and LICENSE"
    size = 64
    names = ("edges", "photo")

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*PHOTOGRAPHS)

    def count(self, split: str, domain: str) -> int:
        """Return the number of windows."""
        return len(self._windows(split))

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return the crop, or the edges in it."""
        photo = resize(cut(self._windows(split)[index]), size)
        return photo if domain == "B" else _edges(photo)

    def _windows(self, split: str) -> list[tuple[str, int, int]]:
        return [w for file in PHOTOGRAPHS for w in windows(file, split, STRIDE[split])]


def _edges(photo: Pixels) -> Pixels:
    from skimage.color import rgb2gray  # scipy behind them takes half a second to import
    from skimage.feature import canny

    edges = canny(rgb2gray(photo), sigma=1.5, low_threshold=0.02, high_threshold=0.06)
    return np.repeat(np.where(edges, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
