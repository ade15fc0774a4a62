"""What an image file means, and which count: the one reader of training, scoring and labels.

    grey, palette, CMYK      read as RGB
    orientation (EXIF)       applied
    transparency             composited over white
    16 bits, floats          refused: what is white in them, nobody can tell
    several frames           refused

`traits` says which of the first three a file needs, so that a person is told how many do.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from bench.errors import DataError

Pixels = NDArray[np.uint8]  # [H, W, 3], RGB

SUFFIXES = {"png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"}
EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
UPRIGHT = 1  # of EXIF's orientations
SAID = {
    "grey": "are grey, read as RGB",
    "CMYK": "are CMYK, read as RGB",
    "transparent": "have transparency, composited over white",
    "turned": "are turned as their EXIF says",
}


@functools.cache
def images(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a folder by name; none where there is no folder."""
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _is_image(entry)]
    return tuple(folder / name for name in sorted(names))


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry counts: a file with the ending of an image that is not hidden."""
    is_visible = not entry.name.startswith(".")
    is_named = entry.name.rpartition(".")[2].lower() in SUFFIXES
    return is_visible and is_named and _is_file(entry)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # links that go round in circles
        return False


def left_out(folder: Path) -> str:
    """Say what lies in a folder of images and is not read, as "2 .ppm, 1 folder"; "" if nothing.

    Hidden files are nobody's images and are not counted.
    """
    if not folder.is_dir():
        return ""
    with os.scandir(folder) as entries:
        others = [e for e in entries if not _is_image(e) and not e.name.startswith(".")]
        kinds = Counter(map(_kind, others))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False) or Path(entry).is_dir():
        return "folder"
    if not _is_file(entry):
        return "link to nothing" if entry.is_symlink() else "special file"
    return Path(entry.name).suffix.lower() or "without an ending"


def decode(path: Path) -> Pixels:
    """Read an image file as RGB.

    Raises:
        DataError: the file is missing, truncated, no image, or means nothing as 8-bit RGB.
    """
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        return np.asarray(upright.convert("RGB"))


def look(path: Path) -> tuple[tuple[int, int], set[str]]:
    """Return width and height of an image as it is shown, and its traits, by its head alone.

    Raises:
        DataError: as for `decode`, as far as the head tells.
    """
    with _opened(path) as image:
        found = {"grey"} if image.mode in ("1", "L", "LA") else set()
        found |= {"CMYK"} if image.mode == "CMYK" else set()
        found |= {"transparent"} if image.has_transparency_data else set()
        orientation = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
        width, height = image.size
        if orientation in range(2, 9):
            found.add("turned")
        return ((height, width) if orientation in range(5, 9) else (width, height)), found


def remarks(traits: Sequence[set[str]]) -> list[str]:
    """Say of how many images, by the traits of each, that they are not plain RGB."""
    counts = Counter(trait for found in traits for trait in found)
    return [f"{counts[t]} of {len(traits)} images {said}" for t, said in SAID.items() if counts[t]]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; what is wrong with it, now or while it is decoded, is a DataError."""
    try:
        with Image.open(path) as image:
            _check(path, image)
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be decoded: {str(error).rstrip('.')}.") from error


def _check(path: Path, image: Image.Image) -> None:
    """Refuse what has no meaning as one 8-bit image."""
    if image.mode not in EIGHT_BITS:
        raise DataError(f"{path}: colours in mode {image.mode}; convert it to 8-bit RGB.")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{path}: {frames} frames; save the one that is meant as a PNG.")
