"""Grass to brick and back: unpaired textures that come with scikit-image."""

from __future__ import annotations

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import cut, fingerprint_of, windows

FILES = {"A": "grass.png", "B": "brick.png"}
STRIDE = 24


class Grass2Brick(Dataset):
    """A: windows of a lawn; B: windows of a brick wall. Nothing pairs them. Needs no download."""

    source = "scikit-image's data folder: grass, brick"
    licence = "CC0; see scikit-image's data README and LICENSE"
    task = "unpaired"
    size = 64
    names = ("grass", "brick")

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*FILES.values())

    def count(self, split: str, domain: str) -> int:
        """Return the number of windows."""
        return len(windows(FILES[domain], split, STRIDE))

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one window."""
        return resize(cut(windows(FILES[domain], split, STRIDE)[index]), size)
