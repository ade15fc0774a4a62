"""Photographs to learn a style transfer on, and pairs to try it on, that come with scikit-image."""

from __future__ import annotations

import functools

import numpy as np

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import fingerprint_of, photograph
from bench.maths.seed import derive

COLOUR = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
GREY = ("brick.png", "grass.png", "gravel.png")
SIDE = 128  # of a window, in pixels of the photograph
BORDER = 0.6  # of the width: train lies left of it, test right
COUNT = {"train": 440, "val": 0, "test": 16}


class StylePhotos(Dataset):
    """A: photographs, contents in the test split; B: the styles they are paired with there.

    Needs no download. 440 random windows of eleven photographs, from their left 60 %, to train on,
    where A and B are the same images; 16 pairs of windows from the right 40 % of the eight colour
    ones, content and style of two photographs. The windows of the test are of regions that nobody
    trained on, but of the same photographs.
    """

    source = "scikit-image's data folder: eight colour photographs and three grey textures"
    licence = "CC0, CC BY and public domain; see scikit-image's data README and LICENSE"
    task = "style"
    size = 128
    names = ("content", "style")

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*COLOUR, *GREY)

    def count(self, split: str, domain: str) -> int:
        """Return the number of windows; of pairs, in the test split."""
        return COUNT[split]

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one window."""
        if split == "train":
            files = (*COLOUR, *GREY)
            return resize(_window(split, "A", index, files[index % len(files)]), size)
        place = index if domain == "A" else index + 1 + 2 * (index // len(COLOUR))
        return resize(_window(split, domain, index, COLOUR[place % len(COLOUR)]), size)


@functools.lru_cache(maxsize=1024)
def _window(split: str, domain: str, index: int, file: str) -> Pixels:
    """Return a window at a place of its own: [SIDE, SIDE, 3]."""
    pixels = photograph(file)
    height, width, _ = pixels.shape
    border = int(BORDER * width)
    first, last = (0, border) if split == "train" else (border, width)
    rng = np.random.default_rng(derive("style_photos", split, domain, index))
    top, left = rng.integers(height - SIDE + 1), rng.integers(first, last - SIDE + 1)
    return pixels[top : top + SIDE, left : left + SIDE]
