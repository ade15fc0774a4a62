"""What the folder layouts share: finding images and saying what was found instead."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.dataset import fingerprint
from bench.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}


def root(params: Mapping[str, Any], expected: str) -> Path:
    """Return the data set's folder.

    Raises:
        DataError: no path was given, or it is no folder.
    """
    if not params["path"]:
        raise DataError(f"a folder data set needs `path`: {expected}.")
    path = Path(os.path.expandvars(params["path"])).expanduser()
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Expected {expected}.")
    return path


def images(folder: Path) -> list[Path]:
    """Return the image files of a folder by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def contents(path: Path) -> str:
    """Say what lies in a folder, for an error message."""
    entries = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    return (", ".join(entries[:8]) or "nothing") + more


@functools.cache
def fingerprint_of(path: Path, files: tuple[Path, ...]) -> str:
    """Return a hash of names and contents, independent of where the folder lies."""
    return fingerprint(*(part for f in files for part in (f.relative_to(path).as_posix(), f)))
