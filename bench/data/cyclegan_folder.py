"""A local folder of two unpaired domains in the layout of CycleGAN."""

from __future__ import annotations

import functools
from pathlib import Path

from bench.data._folders import contents, fingerprint_of, images, root
from bench.dataset import DOMAINS, SPLITS, Dataset, Pixels, decode, resize
from bench.errors import DataError

EXPECTED = "trainA/, trainB/, testA/ and testB/ (perhaps valA/ and valB/) with images"


class CycleGANFolder(Dataset):
    """`path/{train,val,test}{A,B}/*`: images of two domains that nothing pairs."""

    defaults = {"path": ""}
    source = "the layout of junyanz/pytorch-CycleGAN-and-pix2pix, dataset_mode unaligned"
    licence = "the folder's own"
    task = "unpaired"

    def fingerprint(self) -> str:
        """Check the layout and hash names and contents of all images."""
        path = root(self.params, EXPECTED)
        files = {f"{s}{d}": images(path / f"{s}{d}") for s in SPLITS for d in DOMAINS}
        missing = [f"{n}/" for n, found in files.items() if not found and not n.startswith("val")]
        if missing:
            hint = ""
            if (path / "train").is_dir():
                hint = " This is Pix2Pix's layout: use dataset pix2pix_folder."
            raise DataError(
                f"{path}: no images in {', '.join(missing)}. Expected {EXPECTED}; "
                f"found {contents(path)}.{hint}"
            )
        return fingerprint_of(path, tuple(f for found in files.values() for f in found))

    def count(self, split: str, domain: str) -> int:
        """Return the number of images of one domain."""
        return len(self._files(split, domain))

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image."""
        return resize(decode(self._files(split, domain)[index]), size)

    def _files(self, split: str, domain: str) -> tuple[Path, ...]:
        return _listing(root(self.params, EXPECTED) / f"{split}{domain}")


@functools.cache
def _listing(folder: Path) -> tuple[Path, ...]:
    return tuple(images(folder))
