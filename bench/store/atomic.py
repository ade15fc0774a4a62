"""Files on disk: whole or not at all, and a clear error where the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bench.errors import StoreError


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` once it is wholly on disk.

    Args:
        path: the file.
        mode: who may read and write it, before it has its name.

    Raises:
        StoreError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    make_folder(path.parent)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def append(path: Path, text: str) -> None:
    """Add text to a file.

    Raises:
        StoreError: the disk is full or the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StoreError:
    """Say why a file could not be written."""
    hint = " Free some space and run the same command again." * (error.errno == errno.ENOSPC)
    return StoreError(f"{path}: cannot be written: {error.strerror or error}.{hint}")


def make_folder(path: Path) -> None:
    """Create a folder and those above it.

    Raises:
        StoreError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def free_bytes(folder: Path) -> int:
    """Return how much room the disk has on which a folder lies, or will once it is made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
