"""Local folders of photographs to learn a style transfer on, and of pairs to try it on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contracts.dataset import resize
from bench.contracts.image import Pixels, decode, images
from bench.data._folders import Folders, contents
from bench.errors import DataError


class StyleFolder(Folders):
    """`path/train/*`, and `path/content/*` with a style of the same name in `path/style/`.

    The ending may differ. PCA-KD's own data are `pst`, which has this layout. Images are resized to
    a square, as the paper does in training; it tries its pairs at their own sides.
    """

    source = "a layout of this project"
    licence = "the folder's own"
    task = "style"
    size = 512
    names = ("content", "style")
    photographs: ClassVar[str] = "train"  # the folder of what is trained on

    def expected(self) -> str:
        """Say which layout is expected."""
        return (
            f"{self.photographs}/, content/ and style/ with images; a pair has one name in the "
            "last two"
        )

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the photographs, which both domains share in training, or a side of the pairs."""
        if split == "train":
            return images(self.root / self.photographs)
        if split == "val":
            return ()
        contents_of = images(self.root / "content")
        if domain == "A":
            return contents_of
        styles = self._styles()
        return tuple(styles[file.stem] for file in contents_of if file.stem in styles)

    def check(self) -> None:
        """Look for images everywhere, and for the partner of each."""
        needed = (self.photographs, "content", "style")
        missing = [f"{n}/" for n in needed if not images(self.root / n)]
        if missing:
            raise DataError(
                f"{self.root}: no images in {', '.join(missing)}. Expected {self.expected()}; "
                f"found {contents(self.root)}."
            )
        styles, named = self._styles(), self._by_name("content")
        for one, others, where in ((named, styles, "style"), (styles, named, "content")):
            alone = [file for name, file in one.items() if name not in others]
            if alone:
                more = f" ({len(alone)} such images)" if len(alone) > 1 else ""
                raise DataError(f"{alone[0]}: no image of this name in {where}/{more}.")

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image."""
        return resize(decode(self.files(split, domain)[index]), size)

    def _styles(self) -> dict[str, Path]:
        return self._by_name("style")

    def _by_name(self, folder: str) -> dict[str, Path]:
        """Return the images of a folder by name without ending.

        Raises:
            DataError: two have the same one.
        """
        found: dict[str, Path] = {}
        for file in images(self.root / folder):
            if file.stem in found:
                raise DataError(f"{found[file.stem]}: {file.name} beside it has the same name.")
            found[file.stem] = file
        return found
