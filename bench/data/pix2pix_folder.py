"""A local folder of pairs in the layout of Pix2Pix: A and B side by side in one image."""

from __future__ import annotations

import functools
from pathlib import Path

from PIL import Image

from bench.data._folders import contents, fingerprint_of, images, root
from bench.dataset import SPLITS, Dataset, Pixels, decode, resize
from bench.errors import DataError

EXPECTED = "train/, test/ and perhaps val/, each with images that show A left and B right"


class Pix2PixFolder(Dataset):
    """`path/{train,val,test}/*`, each image two of the same size side by side.

    With `direction: AtoB` the left half is the input, with `BtoA` the right one (facades and
    Cityscapes: labels are right, photographs left).
    """

    defaults = {"path": "", "direction": "AtoB"}
    choices = {"direction": ("AtoB", "BtoA")}
    source = "the layout of junyanz/pytorch-CycleGAN-and-pix2pix, dataset_mode aligned"
    licence = "the folder's own"

    def fingerprint(self) -> str:
        """Check the layout and hash names and contents of all images."""
        path = root(self.params, EXPECTED)
        files = {split: images(path / split) for split in SPLITS}
        for split in ("train", "test"):
            if not files[split]:
                hint = ""
                if (path / "trainA").is_dir():
                    hint = " This is CycleGAN's layout: use dataset cyclegan_folder."
                raise DataError(
                    f"{path}: no images in {split}/. Expected {EXPECTED}; found {contents(path)}."
                    f"{hint}"
                )
            _check_pair(files[split][0])
        return fingerprint_of(path, tuple(f for split in SPLITS for f in files[split]))

    def count(self, split: str, domain: str) -> int:
        """Return the number of pairs."""
        return len(self._files(split))

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one half of an image."""
        path = self._files(split)[index]
        pair = decode(path)
        half = _check_pair(path, pair.shape[1], pair.shape[0])
        is_left = (domain == "A") == (self.params["direction"] == "AtoB")
        return resize(pair[:, :half] if is_left else pair[:, half:], size)

    def _files(self, split: str) -> tuple[Path, ...]:
        return _listing(root(self.params, EXPECTED) / split)


@functools.cache
def _listing(folder: Path) -> tuple[Path, ...]:
    return tuple(images(folder))


def _check_pair(path: Path, width: int = 0, height: int = 0) -> int:
    """Return half the width of a pair.

    Raises:
        DataError: the image is not two images side by side.
    """
    if not width:
        try:
            with Image.open(path) as image:
                width, height = image.size
        except OSError as error:
            raise DataError(f"{path}: cannot be decoded: {error}.") from error
    if width % 2 or width <= height:
        raise DataError(
            f"{path}: {width} x {height} pixels are not two images of one size side by side."
        )
    return width // 2
