"""A local folder of images, of which a diffusion model makes more."""

from __future__ import annotations

from pathlib import Path

from bench.contracts.dataset import resize
from bench.contracts.image import Pixels, decode, images
from bench.data._folders import Folders, contents
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
        """Return the middle of one image.

        Raises:
            DataError: it cannot be decoded, or is smaller than `size`.
        """
        path = self.files(split, domain)[index]
        pixels = decode(path)
        height, width, _ = pixels.shape
        side = min(height, width)
        if side < size:
            raise DataError(
                f"{path}: {width} x {height} pixels are less than {size} x {size}; set `size`, or "
                "leave it out."
            )
        top, left = (height - side) // 2, (width - side) // 2
        return resize(pixels[top : top + side, left : left + side], size)
