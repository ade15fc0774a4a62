"""Crops of photographs that come with scikit-image: what a diffusion model learns to make."""

from __future__ import annotations

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import cut, fingerprint_of, windows

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "rocket.jpg")
SIDE = 48  # of a crop, in pixels of the photograph
STRIDE = 24  # from one to the next: 1,000 in the train split


class PhotoCrops(Dataset):
    """A alone: windows of 48 px of five photographs, resized; meant for sides of 16 to 48 px.

    Needs no download. Splits are columns of each photograph, so no pixel is in two of them, and
    they differ: images are made like those of the train split, and held against it.
    """

    source = "scikit-image's data folder: five colour photographs"
    licence = "CC0, CC BY and public domain; see scikit-image's data README and LICENSE"
    task = "diffusion"
    size = 32
    domains = ("A",)
    names = ("photo",)

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*PHOTOGRAPHS)

    def count(self, split: str, domain: str) -> int:
        """Return the number of windows."""
        return len(self._windows(split)) if domain == "A" else 0

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one crop."""
        return resize(cut(self._windows(split)[index], SIDE), size)

    def _windows(self, split: str) -> list[tuple[str, int, int]]:
        return [w for file in PHOTOGRAPHS for w in windows(file, split, STRIDE, SIDE)]
