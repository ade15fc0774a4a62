"""Flickr-Faces-HQ: 70,000 photographs of faces."""

from __future__ import annotations

import functools
from pathlib import Path

from bench.data._folders import Nested
from bench.errors import DataError

TRAIN = 60_000  # images by number: the first are for training, as the makers have it


class FFHQ(Nested):
    """`path/images1024x1024/00000/00000.png` and so on: the first 60,000 to train, 10,000 to test.

    The split is the makers' own. StyleGAN trains on all of them, latent diffusion splits by another
    list: their FIDs are against other real sets.
    """

    source = "Karras et al. (StyleGAN), CVPR 2019; NVlabs/ffhq-dataset"
    licence = "CC BY-NC-SA 4.0; each photograph has a licence of its own"
    folders = {"train": "images1024x1024", "test": "images1024x1024"}
    counts = {"train": TRAIN, "test": 10_000}
    bring = "Bring images1024x1024 there, as https://github.com/NVlabs/ffhq-dataset says"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the images of a split, by their numbers."""
        every = super().files(split, domain)
        return _of_split(every, split)


@functools.cache
def _of_split(files: tuple[Path, ...], split: str) -> tuple[Path, ...]:
    return tuple(f for f in files if (_number(f) < TRAIN) == (split == "train"))


def _number(file: Path) -> int:
    """Return the number that an image is called by.

    Raises:
        DataError: it is called otherwise.
    """
    if not file.stem.isdecimal():
        raise DataError(f"{file}: images of FFHQ are called by their number, as 00042.png.")
    return int(file.stem)
