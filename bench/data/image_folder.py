"""A local folder of images, of which a diffusion model makes more."""

from __future__ import annotations

import functools
from pathlib import Path

from bench.contracts.image import Pixels, images
from bench.data._folders import Folders, contents, middle
from bench.errors import DataError


class ImageFolder(Folders):
    """`path/*`: images of any shape, all of them the train split but those held out.

    Every `held_out`-th image, by name, is of the test split, on which an autoencoder is judged; at
    0 none is. Diffusion itself is held against the train split.

    The largest square in the middle is resized; an image that is smaller than asked for is refused,
    since enlarged ones have no high frequencies.
    """

    defaults = {"path": "", "held_out": 0}
    source = "a folder of images, as of FFHQ, CelebA-HQ or LSUN"
    licence = "the folder's own"
    task = "diffusion"
    domains = ("A",)
    names = ("image",)

    def expected(self) -> str:
        """Say which layout is expected."""
        return "images, not in folders"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the images of the folder."""
        return self._splits.get(split, ()) if domain == "A" else ()

    @functools.cached_property
    def _splits(self) -> dict[str, tuple[Path, ...]]:
        every, nth = images(self.root), self.params["held_out"]
        if not nth:
            return {"train": every}
        train = tuple(file for place, file in enumerate(every, 1) if place % nth)
        return {"train": train, "test": every[nth - 1 :: nth]}

    def check(self) -> None:
        """Look for images, in each split."""
        nth = self.params["held_out"]
        if nth < 0 or nth == 1:
            raise DataError(f"held_out: should be 0, or 2 and more: {nth}.")
        if nth > len(images(self.root)) > 0:
            raise DataError(f"{self.root}: fewer images than held_out, {nth}: none is held out.")
        if not self.files("train", "A"):
            raise DataError(
                f"{self.root}: no images. Expected {self.expected()}; found {contents(self.root)}."
            )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return the middle of one image; see `middle` for errors."""
        return middle(self.files(split, domain)[index], size)
