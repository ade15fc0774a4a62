"""Crops of photographs that come with scikit-image: what a diffusion model learns to make."""

from __future__ import annotations

import functools

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import cut, fingerprint_of, windows

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "rocket.jpg")
SIDE = 48  # of a crop, in pixels of the photograph
STRIDE = 24  # from one to the next: 1,000 in the train split
BETWEEN = "between"


class PhotoCrops(Dataset):
    """A alone: windows of 48 px of five photographs, resized; meant for sides of 16 to 48 px.

    Needs no download. Splits are columns of each photograph, so no pixel is in two of them, and
    they differ: images are made like those of the train split, and held against it. The split
    `between` has the windows that lie between those of the train split on a grid twice as fine, and
    shares their pixels: what another draw of the same images would be.
    """

    source = "scikit-image's data folder: five colour photographs"
    licence = "CC0, CC BY and public domain; see scikit-image's data README and LICENSE"
    task = "diffusion"
    size = 32
    domains = ("A",)
    names = ("photo",)
    redrawn = "between"

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*PHOTOGRAPHS)

    def count(self, split: str, domain: str) -> int:
        """Return the number of windows."""
        return len(_windows(split)) if domain == "A" else 0

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one crop."""
        return resize(cut(_windows(split)[index], SIDE), size)


@functools.cache
def _windows(split: str) -> list[tuple[str, int, int]]:
    if split == BETWEEN:
        there = set(_windows("train"))
        return [window for window in _grid("train", STRIDE // 2) if window not in there]
    return _grid(split, STRIDE)


def _grid(split: str, stride: int) -> list[tuple[str, int, int]]:
    return [w for file in PHOTOGRAPHS for w in windows(file, split, stride, SIDE)]
