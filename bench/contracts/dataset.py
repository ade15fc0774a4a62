"""The contract of a data set: one file in `bench/data/`.

A data set is a list of images per split and domain, with a licence and a fingerprint. It knows
nothing of batches, tensors or training. Where it has addresses, `distillbench fetch` brings it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from bench.contracts.image import Pixels

Colour = tuple[int, int, int]  # RGB, 0 to 255

SPLITS = ("train", "val", "test")
DOMAINS = ("A", "B")


class Dataset:
    """Images of two domains, A and B, or of A alone, in three splits; `val` may be empty.

    In a `paired` data set image i of B is the ground truth of image i of A. A parameter called
    `path` is a place on this machine: a relative one is relative to the suite file, and it is no
    part of a cell's key; the fingerprint is.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1  # raise it when the images change
    source: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    task: ClassVar[str] = "paired"  # a file name in bench/tasks/
    size: ClassVar[int] = 256  # image side in pixels, unless the suite says otherwise
    redrawn: ClassVar[str] = ""
    """A further split, if there is one: another draw of what the train split is a draw of, and none
    of its images. What a generator of samples could reach is measured on it."""
    domains: ClassVar[Sequence[str]] = DOMAINS  # or ("A",); the images of others are none
    names: ClassVar[Sequence[str]] = ("A", "B")  # what the domains show
    labels: ClassVar[Mapping[str, Colour]] = {}  # class -> its colour in the label maps, if any
    label_domain: str = "A"  # the domain of the label maps
    void: ClassVar[Sequence[Colour]] = ()  # colours of the label maps that are no class
    label_size: tuple[int, int] | None = None  # (H, W) of labels that are judged; None: the images'
    counts: ClassVar[Mapping[str, int]] = {}  # as published: "train" or "trainA" -> images
    urls: Sequence[str] = ()  # of the archive, tried in order; none: a person has to bring it
    sha256: ClassVar[str] = ""  # of the archive, where it was published
    archive_bytes: ClassVar[int] = 0  # of the archive: exact with a sha256, else at most

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def fingerprint(self) -> str:
        """Return a hash of everything the images are made from.

        Raises:
            DataError: files are missing or misarranged; the message says what was found.
        """
        raise NotImplementedError

    def count(self, split: str, domain: str) -> int:
        """Return the number of images."""
        raise NotImplementedError

    def files(self, split: str, domain: str) -> Sequence[Path]:
        """Return the image files of a split, where there is one per image; two domains may share.

        Raises:
            DataError: as for `fingerprint`.
        """
        return ()

    def differences(self) -> list[str]:
        """Say where the numbers of images are not the published ones."""
        said = []
        for name, published in self.counts.items():
            split, domain = (name[:-1], name[-1]) if name[-1] in DOMAINS else (name, "A")
            found = self.count(split, domain)
            if found != published:
                said.append(f"{name}: {found} images, {published} were published")
        return said

    def remarks(self) -> list[str]:
        """Say what a person should look at before these images are trained on."""
        return []

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one image as [size, size, 3] uint8 RGB; bicubic where it has to be resized.

        Raises:
            DataError: the image cannot be decoded; the message names the file.
        """
        raise NotImplementedError

    def label_map(self, split: str, index: int, size: int) -> Pixels:
        """Return one label map as it is judged: [*label_size, 3], or [size, size, 3] uint8 RGB.

        Raises:
            DataError: it cannot be decoded, or has another size; the message names the file.
        """
        return self.read(split, self.label_domain, index, size)


def fingerprint(*parts: bytes | str | Path) -> str:
    """Return 16 hex digits of the sha256 over texts, bytes and the content of files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = os.fsencode(data) if isinstance(data, str) else data
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def resize(pixels: Pixels, size: int, *, nearest: bool = False) -> Pixels:
    """Resize to [size, size, 3], bicubic with Pillow's antialiasing, or by nearest neighbour."""
    if pixels.shape[:2] == (size, size):
        return pixels
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((size, size), method))
