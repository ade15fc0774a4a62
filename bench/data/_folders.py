"""Images in folders: pairs side by side as Pix2Pix has them, two domains as CycleGAN has them, one.

A data set lies in `path`, or, where it is published under a name of its own, in
`$DISTILLBENCH_HOME/data/NAME`. Listings are read once per process; contents are hashed once per
state of the files.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from bench.contracts.dataset import DOMAINS, SPLITS, Dataset, fingerprint, resize
from bench.contracts.image import Pixels, decode, images, look
from bench.errors import AbsentData, DataError
from bench.fetch.home import home, is_offline, remembered


class Folders(Dataset):
    """Images that lie in one folder per split, or per split and domain."""

    defaults = {"path": ""}
    folders: ClassVar[Mapping[str, str]] = {"train": "train", "val": "val", "test": "test"}
    """Split -> how its folder is called."""

    @property
    def name(self) -> str:
        """What `distillbench fetch` takes: the file's name, or `module:Class`."""
        package, _, file = type(self).__module__.rpartition(".")
        return file if package == "bench.data" else f"{type(self).__module__}:{type(self).__name__}"

    @property
    def root(self) -> Path:
        """The folder of this data set.

        Raises:
            AbsentData: it is not there; the message says how it is brought.
        """
        if self.params["path"]:
            path = Path(os.path.expandvars(self.params["path"])).expanduser().absolute()
            remedy = ""
        else:
            remedy = self.remedy()
            path = home() / "data" / self.name.replace(":", "-")
        if not path.is_dir():
            raise AbsentData(f"{path}: no such folder. {remedy}Expected {self.expected()}.")
        return path

    def remedy(self) -> str:
        """Say how an absent data set is brought, with a space at the end.

        Raises:
            DataError: only a path can say where it is.
        """
        if not self.urls:
            raise DataError(f"a folder data set needs `path`: {self.expected()}.")
        if is_offline():
            return f"Unpack {self.urls[0]} there, or give `path`. "
        return f"Run `distillbench fetch {self.name}`, or give `path`. "

    def expected(self) -> str:
        """Say which layout is expected."""
        raise NotImplementedError

    def check(self) -> None:
        """Look whether the layout is the expected one.

        Raises:
            DataError: it is not; the message says what was found.
        """
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Check the layout and hash names and contents of all images."""
        self.check()
        every = (f for s in SPLITS for d in DOMAINS for f in self.files(s, d))
        return fingerprint_of(self.root, tuple(dict.fromkeys(every)))

    def count(self, split: str, domain: str) -> int:
        """Return the number of images."""
        return len(self.files(split, domain))


class Pairs(Folders):
    """Each image is two of the same size side by side: A left and B right in the file.

    With `direction: AtoB` the left one is the input, domain A of this data set; with `BtoA` the
    right one is.
    """

    defaults = {"path": "", "direction": "AtoB"}
    choices = {"direction": ("AtoB", "BtoA")}

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        if params["direction"] != self.defaults["direction"]:
            self.label_domain = "B"

    def is_left(self, domain: str) -> bool:
        """Say whether a domain is the left half of the files."""
        return bool((domain == "A") == (self.params["direction"] == "AtoB"))

    def expected(self) -> str:
        """Say which layout is expected."""
        needed = ", ".join(f"{f}/" for split, f in self.folders.items() if split != "val")
        perhaps = " and perhaps val/" if "val" in self.folders else ""
        return f"{needed}{perhaps}, each with images that show A left and B right"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the files of a split, which both domains share."""
        return images(self.root / self.folders[split]) if split in self.folders else ()

    def check(self) -> None:
        """Look for images in train and test, and whether the first is a pair."""
        for split in ("train", "test"):
            files = self.files(split, "A")
            if not files:
                hint = ""
                if (self.root / "trainA").is_dir():
                    hint = " This is CycleGAN's layout: use dataset cyclegan_folder."
                for one, other in (("train_A", "train_B"), ("A", "B")):
                    if (self.root / one).is_dir():
                        hint = (
                            f" Pairs lie in two folders here: put each image of {one}/ and its "
                            f"partner of {other}/ side by side into one file in train/."
                        )
                raise DataError(
                    f"{self.root}: no images in {self.folders[split]}/. Expected "
                    f"{self.expected()}; found {contents(self.root)}.{hint}"
                )
            half_of(files[0], *look(files[0])[0])

    def remarks(self) -> list[str]:
        """Say where halves are taller than wide: perhaps these are no pairs."""
        (width, height), _ = look(self.files("train", "A")[0])
        if width // 2 >= height:
            return []
        halves = f"two of {width // 2} x {height} pixels side by side"
        return [f"each image is taken as {halves}; if it is one, use dataset cyclegan_folder"]

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one half of an image; a label map is never interpolated."""
        path = self.files(split, domain)[index]
        pair = _pair(path, path.stat().st_mtime_ns if path.exists() else 0)
        half = half_of(path, pair.shape[1], pair.shape[0])
        is_labels = bool(self.labels) and domain == self.label_domain
        return resize(
            pair[:, :half] if self.is_left(domain) else pair[:, half:], size, nearest=is_labels
        )


class Unpaired(Folders):
    """`{train,val,test}{A,B}/`: images of two domains that nothing pairs."""

    task = "unpaired"

    def expected(self) -> str:
        """Say which layout is expected."""
        return "trainA/, trainB/, testA/ and testB/ (perhaps valA/ and valB/) with images"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the files of a split and domain."""
        return images(self.root / f"{self.folders[split]}{domain}")

    def check(self) -> None:
        """Look for images in train and test of both domains."""
        needed = [(split, domain) for split in ("train", "test") for domain in DOMAINS]
        missing = [f"{s}{d}/" for s, d in needed if not self.files(s, d)]
        if missing:
            hint = ""
            if (self.root / "train").is_dir():
                hint = " This is Pix2Pix's layout: use dataset pix2pix_folder."
            raise DataError(
                f"{self.root}: no images in {', '.join(missing)}. Expected {self.expected()}; "
                f"found {contents(self.root)}.{hint}"
            )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image."""
        return resize(decode(self.files(split, domain)[index]), size)


class Nested(Folders):
    """Images of one domain, in a folder per split and at any depth below it; read by their middles.

    Published sets that a person has to bring: `bring` says how, `instead` what else people have in
    its place, and what to do about that.
    """

    task = "diffusion"
    domains = ("A",)
    names = ("image",)
    bring: ClassVar[str] = ""
    instead: ClassVar[Mapping[str, str]] = {}  # name in `path` -> what it is, and what to do

    def remedy(self) -> str:
        """Say how an absent data set is brought."""
        return f"{self.bring}, or give `path`. "

    def expected(self) -> str:
        """Say which layout is expected."""
        named = " and ".join(f"{folder}/" for folder in dict.fromkeys(self.folders.values()))
        return f"{named} with images at any depth"

    def files(self, split: str, domain: str) -> tuple[Path, ...]:
        """Return the images of a split, folder by folder."""
        is_there = split in self.folders and domain == "A"
        return nested(self.root / self.folders[split]) if is_there else ()

    def check(self) -> None:
        """Look for images of each split."""
        missing = [f"{f}/" for split, f in self.folders.items() if not self.files(split, "A")]
        if missing:
            there = {path.name for path in self.root.iterdir()}
            hints = "".join(f" {said}" for name, said in self.instead.items() if name in there)
            raise DataError(
                f"{self.root}: no images in {', '.join(dict.fromkeys(missing))}. Expected "
                f"{self.expected()}; found {contents(self.root)}.{hints}"
            )

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return the middle of one image; see `middle` for errors."""
        return middle(self.files(split, domain)[index], size)


@functools.cache
def nested(folder: Path) -> tuple[Path, ...]:
    """Return the images of a folder, and then of those below it, one by one in their order."""
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return images(folder) + tuple(file for path in below for file in nested(path))


def middle(path: Path, size: int) -> Pixels:
    """Return the largest square in the middle of an image, resized to [size, size, 3].

    Raises:
        DataError: it cannot be decoded, or is smaller than `size`: enlarged images have no high
            frequencies.
    """
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


def contents(path: Path) -> str:
    """Say what lies in a folder, for an error message."""
    entries = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    return (", ".join(entries[:8]) or "nothing") + more


@functools.cache
def fingerprint_of(path: Path, files: tuple[Path, ...]) -> str:
    """Return a hash of names and contents, independent of where the folder lies."""

    def compute() -> str:
        return fingerprint(*(part for f in files for part in (f.relative_to(path).as_posix(), f)))

    return remembered("fingerprint", files, compute)


@functools.lru_cache(maxsize=1)  # its other half is mostly asked for next
def _pair(path: Path, modified: int) -> Pixels:
    return decode(path)


def half_of(path: Path, width: int, height: int) -> int:
    """Return half the width of a pair.

    Raises:
        DataError: the image is not two images side by side.
    """
    if width % 2 or width < height:
        raise DataError(
            f"{path}: {width} x {height} pixels are not two images of one size side by side."
        )
    return width // 2
