"""Files that a suite names: found beside it, and known by their contents."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from bench.errors import SuiteError
from bench.plan.suite import Suite


def place(suite: Suite, given: str) -> Path:
    """Return where a suite's path leads: relative to the suite, with `~` and `$NAME` expanded."""
    return suite.path.parent / Path(os.path.expandvars(given)).expanduser()


def beside(suite: Suite, given: str, where: str) -> Path:
    """Return the place of a file that a suite names.

    Raises:
        SuiteError: there is no such file.
    """
    path = place(suite, given)
    if not path.is_file():
        raise SuiteError(f"{where}: {path}: no such file.")
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file; it is read again once it has changed.

    Raises:
        SuiteError: it cannot be read.
    """
    try:
        return _sha256(path, path.stat().st_mtime_ns, path.stat().st_size)
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read: {error.strerror}.") from error


@functools.lru_cache(maxsize=1 << 17)  # thousands of images are asked for again and again
def _sha256(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
