"""A local folder of images, of which a diffusion model makes more."""

from __future__ import annotations

from pathlib import Path

from bench.contracts.image import Pixels, images
from bench.data._folders import Folders, contents, middle
from bench.errors import DataError


class ImageFolder(Folders):
    """`path/*`: images of any shape, all of them the train split.

    The largest square in the middle is resized; an image that is smaller than asked for is refused,
    since enlarged ones have no high frequencies.
    """

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
        return images(self.root) if (split, domain) == ("train", "A") else ()

    def check(self) -> None:
        """Look for images."""
        if not self.files("train", "A"):
            raise DataError(
                f"{self.root}: no images. Expected {self.expected()}; found {contents(self.root)}."
            )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return the middle of one image; see `middle` for errors."""
        return middle(self.files(split, domain)[index], size)
