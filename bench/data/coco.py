"""MS-COCO to learn a style transfer on, and pairs of its other photographs to try it on."""

from __future__ import annotations

from pathlib import Path

from bench.contracts.dataset import resize
from bench.contracts.image import Pixels, decode, images
from bench.data._folders import Folders, contents
from bench.errors import DataError


class COCO(Folders):
    """`path/train2017/*` and `path/val2017/*`, as MS-COCO unpacks.

    The first is what PCA-KD trains on: 512 x 512 without regard to the aspect, of which the task
    crops 256. The second makes pairs, by name the first photograph in the style of the second, the
    third in that of the fourth, and so on. These pairs are ours; the paper's are `pst`.
    """

    source = "Lin et al., ECCV 2014; training as in Chiu & Gurari, CVPR 2022, section 4"
    licence = "the photographs' own; see cocodataset.org"
    task = "style"
    size = 512
    names = ("content", "style")
    counts = {"train": 118287, "test": 2500}

    def expected(self) -> str:
        """Say which layout is expected."""
        return "train2017/ and val2017/ with images, of the latter two or more"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the photographs, which both domains share in training, or a side of the pairs."""
        if split == "train":
            return images(self.root / "train2017")
        if split == "val":
            return ()
        found = images(self.root / "val2017")
        found = found[: len(found) // 2 * 2]
        return found[0::2] if domain == "A" else found[1::2]

    def check(self) -> None:
        """Look for images to train on, and for a pair."""
        missing = [
            f"{folder}/"
            for folder, split in (("train2017", "train"), ("val2017", "test"))
            if not self.files(split, "A")
        ]
        if missing:
            raise DataError(
                f"{self.root}: no images in {', '.join(missing)}. Expected {self.expected()}; "
                f"found {contents(self.root)}."
            )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image."""
        return resize(decode(self.files(split, domain)[index]), size)
