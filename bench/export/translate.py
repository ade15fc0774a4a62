"""A folder of images becomes a folder of translated ones; nothing here imports torch.

Images of one size go through the network together; those whose sides it does not take are padded
by reflection below and on the right, and their outputs cropped.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts.dataset import resize
from bench.contracts.image import Pixels, decode, images, left_out, look
from bench.errors import DataError, ExportError
from bench.export.settings import Settings, sha256
from bench.store.atomic import replacing, unwritable
from bench.store.layout import read_json, write_json

RECORD = "made_by.json"  # beside outputs: by which network, how, and of which images

Array: TypeAlias = NDArray[np.float32]
Engine: TypeAlias = Callable[[Array], Array]  # [N, 3, H, W] in [-1, 1] -> the same
Size: TypeAlias = tuple[int, int]  # height, width


class Work(NamedTuple):
    """One image that is to be translated."""

    source: Path
    to: Path
    size: Size  # that it is translated at


class Todo(NamedTuple):
    """What there is to do, and what a person should know of it."""

    work: Sequence[Work]
    remarks: Sequence[str]


def plan(folder: Path, out: Path, settings: Settings, file: str, size: int | None) -> Todo:
    """Look at every image's head, and say which have to be made.

    Args:
        folder: of images; folders in it are not entered.
        out: of outputs; those that were made from the same images stay, others are removed.
        settings: of the export.
        file: whose weights translate.
        size: side that images are resized to, as in the suite; None: each keeps its own.

    Raises:
        DataError: the folder holds no images, or one that means nothing as 8-bit RGB.
        ExportError: two images would get the same name; the size is none that the network takes;
            or `out` holds something else.
        StoreError: `out` cannot be written.
    """
    found = images(folder)
    if not found:
        has = left_out(folder) or "nothing"
        raise DataError(f"{folder}: no images to translate; it holds {has}.")
    if out.resolve() == folder.resolve():
        raise ExportError(f"--out {out}: is the folder of the images themselves; take another.")
    if size is not None and sides_for((size, size), settings) != (size, size):
        raise ExportError(
            f"--size {size}: this network takes multiples of {settings.multiple}, "
            f"from {settings.least} on."
        )
    _refuse_twins(found)
    by: dict[str, Any] = {"key": settings.key, "direction": settings.direction, "size": size}
    by |= {"file": file, "sha256": settings.files[file]}
    before = _made_from(out, by)
    work, padded, digests = [], 0, {}
    for path in found:
        (width, height), _ = look(path)
        at = (size, size) if size else (height, width)
        padded += sides_for(at, settings) != at
        to = out / f"{path.stem}.png"
        digests[to.name] = sha256(path.read_bytes())
        if before.get(to.name) != digests[to.name] or not to.is_file():
            work.append(Work(path, to, at))
    _claim(out, by, before, digests)
    remarks = [f"{left} in {folder} left out"] if (left := left_out(folder)) else []
    if padded:
        remarks.append(
            f"{padded} of {len(found)} images have sides that are no multiple of "
            f"{settings.multiple}, or below {settings.least}: padded by reflection, and cropped"
        )
    if changed := sum(before.get(name, digest) != digest for name, digest in digests.items()):
        remarks.append(f"{changed} outputs in {out} were of other images, and are made again")
    if len(work) < len(found):
        remarks.append(f"{len(found) - len(work)} of {len(found)} are there already")
    return Todo(work, remarks)


def translate(
    work: Iterable[Work], engine: Engine, settings: Settings, batch: int
) -> Iterator[int]:
    """Translate images and write them as PNG, each whole or not at all; yield how many at a time.

    Raises:
        DataError: an image cannot be decoded.
        ExportError: the engine cannot run images of this size.
        StoreError: an output cannot be written.
    """
    for together in _batches(work, batch):
        inputs = np.stack([_input(one, settings) for one in together])
        outputs = to_pixels(engine(inputs), settings.rounding)
        for one, pixels in zip(together, outputs, strict=True):
            height, width = one.size
            file = io.BytesIO()
            Image.fromarray(pixels[:height, :width]).save(file, format="PNG")
            with replacing(one.to) as whole:
                whole.write(file.getvalue())
        yield len(together)


def sides_for(size: Size, settings: Settings) -> Size:
    """Return the height and width to which an image is padded."""
    step, least = settings.multiple, settings.least
    height, width = (max(-(-side // step) * step, least) for side in size)
    return height, width


def to_pixels(images: Array, rounding: str) -> NDArray[np.uint8]:
    """[N, 3, H, W] in [-1, 1] -> [N, H, W, 3] uint8, as test outputs get their 8 bits."""
    levels = (images + np.float32(1)) * np.float32(127.5)
    levels = np.floor(levels) if rounding == "truncated" else np.rint(levels)
    pixels: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels


def _input(one: Work, settings: Settings) -> Array:
    """Read an image as the network takes it: [3, H, W]."""
    pixels: Pixels = decode(one.source)
    if pixels.shape[:2] != one.size:
        pixels = resize(pixels, one.size[0])
    height, width = sides_for(one.size, settings)
    more = ((0, height - one.size[0]), (0, width - one.size[1]), (0, 0))
    padded = np.pad(pixels, more, mode="reflect").transpose(2, 0, 1)
    return padded.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _batches(work: Iterable[Work], batch: int) -> Iterator[list[Work]]:
    """Yield images in order, up to `batch` neighbours of one size at a time."""
    together: list[Work] = []
    for one in work:
        if together and (len(together) == batch or together[0].size != one.size):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def _refuse_twins(found: Sequence[Path]) -> None:
    twins = [stem for stem, count in Counter(path.stem for path in found).items() if count > 1]
    if twins:
        names = ", ".join(path.name for path in found if path.stem == twins[0])
        raise ExportError(f"{names} would both become {twins[0]}.png; rename one.")


def _made_from(out: Path, by: Mapping[str, Any]) -> dict[str, str]:
    """Return of which image each output in a folder was made, as sha256; {} if it is new.

    Raises:
        ExportError: it holds images of another network or size, or something else altogether.
    """
    record = read_json(out / RECORD)
    found: dict[str, str] = record.pop("images", {})
    if record == by:
        return found
    if out.exists() and (not out.is_dir() or any(p.name != RECORD for p in out.iterdir())):
        what = f"images of another export, file or size ({RECORD})" if record else "something else"
        raise ExportError(f"--out {out}: holds {what}; take a folder that is new or empty.")
    return {}


def _claim(
    out: Path, by: Mapping[str, Any], before: Mapping[str, str], digests: Mapping[str, str]
) -> None:
    """Note by what outputs are made, and from what; outputs of other images go first.

    So the note holds wherever this is stopped: an output that is there was made from its image.

    Raises:
        StoreError: the folder cannot be written.
    """
    for name, digest in digests.items():
        if before.get(name) != digest:
            try:
                (out / name).unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(out / name, error) from error
    write_json(out / RECORD, {**by, "images": {**before, **digests}})
