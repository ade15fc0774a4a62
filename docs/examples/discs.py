"""Discs to be coloured in: a data set that is drawn, so that it needs no file."""

import numpy as np
from PIL import Image, ImageDraw

from bench.contracts.dataset import Dataset, fingerprint
from bench.contracts.image import Pixels

SPLITS = {"train": 0, "val": 1, "test": 2}
SIDE = 128  # pixels at which they are drawn, before they are resized


class Discs(Dataset):
    """A: outlines of three discs, black on white; B: the same discs, coloured by their size."""

    defaults = {"train": 200, "held_out": 20}  # images of train; of val and of test
    source = "an example"
    licence = "CC0"
    size = 64  # pixels, unless the suite says otherwise
    names = ("outlines", "discs")

    def fingerprint(self) -> str:
        """Return what the images are made from: it is in every cell's key."""
        return fingerprint("three discs", str(SIDE), str(sorted(self.params.items())))

    def count(self, split: str, domain: str) -> int:
        return self.params["train" if split == "train" else "held_out"]

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image as [size, size, 3] uint8; A and B of one index are a pair."""
        rng = np.random.default_rng((SPLITS[split], index))
        image = Image.new("RGB", (SIDE, SIDE), "white")
        draw = ImageDraw.Draw(image)
        for x, y, radius in rng.uniform((20, 20, 8), (108, 108, 24), (3, 3)):
            box = (x - radius, y - radius, x + radius, y + radius)
            colour = (int(10 * radius), 90, int(255 - 10 * radius))
            draw.ellipse(box, fill=None if domain == "A" else colour, outline="black", width=2)
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
