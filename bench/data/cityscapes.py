"""Label maps to street photographs: Cityscapes, as Pix2Pix's archive or as its makers give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contracts.dataset import resize
from bench.contracts.image import Pixels, decode, images
from bench.data._folders import Pairs, contents
from bench.errors import DataError

PHOTO, LABELS = "_leftImg8bit.png", "_gtFine_color.png"


class Cityscapes(Pairs):
    """A: label map; B: photograph, as the papers go (`direction: BtoA`).

    `layout: pix2pix` is the archive of Pix2Pix: 256 x 256 pixels, JPEG, so label colours are near
    those of `labels`, not equal. `layout: official` is what a registered user unpacks from
    leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, 2048 x 1024 pixels, squeezed to a
    square as Pix2Pix does; mIoU compares with its label maps at their own size. Either has train
    and val only: val serves as test, and there is no validation split. `labels` are the 19 classes
    that are evaluated; in colour, pole groups look like poles and licence plates like cars.
    """

    defaults = {"path": "", "direction": "BtoA", "layout": "pix2pix"}
    choices = {"direction": ("AtoB", "BtoA"), "layout": ("pix2pix", "official")}
    source = "Cordts et al., CVPR 2016; Isola et al., CVPR 2017: pix2pix's cityscapes"
    licence = "Cityscapes' terms: research, no redistribution"
    names = ("labels", "photo")
    labels = {
        "road": (128, 64, 128),
        "sidewalk": (244, 35, 232),
        "building": (70, 70, 70),
        "wall": (102, 102, 156),
        "fence": (190, 153, 153),
        "pole": (153, 153, 153),
        "traffic light": (250, 170, 30),
        "traffic sign": (220, 220, 0),
        "vegetation": (107, 142, 35),
        "terrain": (152, 251, 152),
        "sky": (70, 130, 180),
        "person": (220, 20, 60),
        "rider": (255, 0, 0),
        "car": (0, 0, 142),
        "truck": (0, 0, 70),
        "bus": (0, 60, 100),
        "train": (0, 80, 100),
        "motorcycle": (0, 0, 230),
        "bicycle": (119, 11, 32),
    }
    void = (
        (0, 0, 0),  # unlabelled, ego vehicle, border, out of sight, static
        (111, 74, 0),  # dynamic
        (81, 0, 81),  # ground
        (250, 170, 160),  # parking
        (230, 150, 140),  # rail track
        (180, 165, 180),  # guard rail
        (150, 100, 100),  # bridge
        (150, 120, 90),  # tunnel
        (0, 0, 90),  # caravan
        (0, 0, 110),  # trailer
    )
    folders = {"train": "train", "test": "val"}
    counts = {"train": 2975, "test": 500}
    urls: Sequence[str] = (
        "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/cityscapes.tar.gz",
        "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/cityscapes.tar.gz",
    )
    archive_bytes = 400_000_000

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.is_official = params["layout"] == "official"
        if self.is_official:
            self.urls, self.label_size = (), (1024, 2048)

    def remedy(self) -> str:
        """Say how an absent data set is brought."""
        if not self.is_official:
            return super().remedy()
        return (
            "Register at https://www.cityscapes-dataset.com, and unpack "
            "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip there, or give `path`. "
        )

    def expected(self) -> str:
        """Say which layout is expected."""
        if not self.is_official:
            return super().expected()
        photo, labels = (f"{top}/{{train,val}}/CITY/*{end}" for top, end in _SIDES)
        return f"{photo} and {labels}"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the files of a split, one per pair, or one per image in the official layout."""
        if not self.is_official or split not in self.folders:
            return super().files(split, domain)
        photos = self._photos(split)
        return photos if self.is_left(domain) else tuple(self._label_map(p) for p in photos)

    def check(self) -> None:
        """Look for photographs and for the label map of each."""
        if not self.is_official:
            super().check()
            return
        for split, folder in self.folders.items():
            photos = self._photos(split)
            missing = [m for m in map(self._label_map, photos) if not m.is_file()]
            if not photos:
                raise DataError(
                    f"{self.root}: no photographs in leftImg8bit/{folder}/. {self.remedy()}"
                    f"Expected {self.expected()}; found {contents(self.root)}."
                )
            if missing:
                raise DataError(
                    f"{missing[0]}: missing, as {len(missing)} of {len(photos)} label maps of "
                    f"{folder}. {self.remedy()}"
                )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image; a label map is never interpolated."""
        if not self.is_official:
            return super().read(split, domain, index, size)
        is_labels = domain == self.label_domain
        return resize(decode(self.files(split, domain)[index]), size, nearest=is_labels)

    def label_map(self, split: str, index: int, size: int) -> Pixels:
        """Return one label map at its own size in the official layout."""
        if self.label_size is None:
            return super().label_map(split, index, size)
        path = self.files(split, self.label_domain)[index]
        pixels = decode(path)
        if pixels.shape[:2] != self.label_size:
            height, width = pixels.shape[:2]
            raise DataError(f"{path}: {width} x {height} pixels, where Cityscapes has 2048 x 1024.")
        return pixels

    def _photos(self, split: str) -> tuple[Path, ...]:
        folder = self.root / "leftImg8bit" / self.folders[split]
        cities = sorted(folder.iterdir()) if folder.is_dir() else []
        return tuple(p for city in cities for p in images(city) if p.name.endswith(PHOTO))

    def _label_map(self, photo: Path) -> Path:
        """Return where the label map of a photograph lies."""
        split, city = photo.parts[-3:-1]
        name = photo.name.removesuffix(PHOTO) + LABELS
        return self.root / "gtFine" / split / city / name


_SIDES = (("leftImg8bit", PHOTO), ("gtFine", LABELS))
