"""Label maps to textures: composites of real textures that come with scikit-image."""

from __future__ import annotations

import functools

import numpy as np

from bench.contracts.dataset import Dataset, resize
from bench.contracts.image import Pixels
from bench.data._photographs import SIDE, cut, fingerprint_of, windows
from bench.maths.seed import derive

PHOTOGRAPHS = {  # class -> photograph
    "brick": "brick.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "tissue": "ihc.png",
    "stars": "hubble_deep_field.jpg",
}
COUNT = {"train": 400, "val": 40, "test": 80}
REGIONS = 5


class PhotoTextures(Dataset):
    """A: a map of five classes in the colours of `labels`; B: each region shows its texture.

    Needs no download. Regions are the Voronoi cells of random points; a class shows a random
    window of its photograph, from the columns that belong to the split.
    """

    source = "scikit-image's data folder: brick, grass, gravel, ihc, hubble_deep_field"
    licence = "CC0 and public domain; see scikit-image's data README and LICENSE"
    size = 64
    names = ("labels", "textures")
    labels = {
        "brick": (220, 20, 60),
        "grass": (0, 130, 70),
        "gravel": (250, 200, 0),
        "tissue": (0, 90, 200),
        "stars": (60, 60, 60),
    }

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return fingerprint_of(*PHOTOGRAPHS.values())

    def count(self, split: str, domain: str) -> int:
        """Return the number of composites."""
        return COUNT[split]

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return the label map (never interpolated) or the composite."""
        labels, composite = _draw(split, index)
        return resize(labels, size, nearest=True) if domain == "A" else resize(composite, size)


@functools.lru_cache(maxsize=64)
def _draw(split: str, index: int) -> tuple[Pixels, Pixels]:
    """Return one label map and its composite, [SIDE, SIDE, 3] each."""
    rng = np.random.default_rng(derive("photo_textures", split, index))
    points = rng.uniform(0, SIDE, (REGIONS, 2))
    classes = rng.integers(len(PHOTOGRAPHS), size=REGIONS)
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1) + 0.5
    nearest = np.square(grid[:, :, None] - points).sum(-1).argmin(-1)
    label = classes[nearest]
    labels = np.zeros((SIDE, SIDE, 3), np.uint8)
    composite = np.zeros((SIDE, SIDE, 3), np.uint8)
    for number, (name, file) in enumerate(PHOTOGRAPHS.items()):
        places = windows(file, split, 1)
        inside = label == number
        labels[inside] = PhotoTextures.labels[name]
        composite[inside] = cut(places[rng.integers(len(places))])[inside]
    return labels, composite
