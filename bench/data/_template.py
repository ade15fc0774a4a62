"""One line: what the images show, and where they are from."""

from __future__ import annotations

import numpy as np

from bench.contracts.dataset import Dataset, fingerprint
from bench.contracts.image import Pixels


class Template(Dataset):
    """What A and B are, and how an image is made or read.

    This example draws discs: A has their outlines, B is filled. A data set of files returns
    `resize(decode(path), size)` from `read` and hashes its files, which `fingerprint` does for
    paths; folders in the layout of Pix2Pix or CycleGAN need no file of their own.
    """

    defaults = {"images": 32}  # of the train split; what a suite may set
    source = "where the images are from"
    licence = "the images' licence"
    task = "paired"  # image i of B is the ground truth of image i of A; or "unpaired"
    size = 64  # image side in pixels, unless the suite says otherwise
    names = ("outlines", "discs")

    def fingerprint(self) -> str:
        """Hash all that the images are made from: equal fingerprints are equal images."""
        return fingerprint("discs, version 1")

    def count(self, split: str, domain: str) -> int:
        """Return how many images a split has, "train", "val" or "test"; `val` may be empty."""
        train: int = self.params["images"]
        return {"train": train, "val": 8, "test": 8}[split]

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return image `index` of domain "A" or "B" as [size, size, 3] uint8 RGB."""
        draw = np.random.default_rng((("train", "val", "test").index(split), index))
        (top, left), radius = draw.uniform(0.3, 0.7, 2), draw.uniform(0.1, 0.3)
        colour = draw.integers(0, 200, 3)
        y, x = (np.mgrid[:size, :size] + 0.5) / size
        distance = np.hypot(y - top, x - left)
        shown = distance < radius if domain == "B" else np.abs(distance - radius) < 1.5 / size
        pixels: Pixels = np.where(shown[..., None], colour, 255).astype(np.uint8)
        return pixels
