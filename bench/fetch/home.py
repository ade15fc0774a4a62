"""The folder of everything downloaded, and what is remembered of its files.

data/NAME/             an unpacked data set
data/NAME.sha256       of its archive, at the first download, where none was published
weights/FILE           a pretrained network, under its published file name
weights/FILE.sha256    at the first use, where none was published
cache/                 digests by path, size and time of change, locks, and decoded images, at most
                       8 GiB; may be deleted
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import DataError, FetchError, StoreError
from bench.store import atomic

SETTLED_S = 2.0  # the coarsest clock of a file system: what changed since may change unnoticed


def home() -> Path:
    """Return the folder: `$DISTILLBENCH_HOME`, or `~/.cache/distillbench`."""
    given = os.environ.get("DISTILLBENCH_HOME") or "~/.cache/distillbench"
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError as error:  # nobody knows where this user lives
        raise DataError(f"{given}: this user has no home; set DISTILLBENCH_HOME.") from error


def is_offline() -> bool:
    """Say whether `DISTILLBENCH_OFFLINE` forbids every download."""
    return os.environ.get("DISTILLBENCH_OFFLINE", "") not in ("", "0")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits; a file that did not change is read once."""

    def read() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return remembered("sha256", [path], read)


def remembered(what: str, files: Sequence[Path], compute: Callable[[], str]) -> str:
    """Return `compute()`, a text, once per state of `files`: their absolute paths, sizes, times.

    Files that changed within the last two seconds are not remembered, since a clock may not tell
    their next change from this one.
    """
    facts, latest = hashlib.sha256(what.encode()), 0.0
    for file in files:
        found = os.stat(file)  # noqa: PTH116 - of 50,000 files, this call is what planning waits for
        facts.update(os.fsencode(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\0"))
        latest = max(latest, found.st_mtime)
    path = home() / "cache" / "digests" / facts.hexdigest()
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    is_settled = latest < time.time() - SETTLED_S
    value = compute()
    if is_settled:
        with contextlib.suppress(FetchError):  # a folder nobody may write to costs only time
            write(path, value)
    return value


def recorded(path: Path) -> str:
    """Return the sha256 that was recorded beside a file, "" if none was."""
    try:
        return _record(path).read_text().partition(" ")[0]
    except FileNotFoundError:
        return ""


def record(path: Path, sha256: str) -> None:
    """Record the sha256 of a file beside it, as `sha256sum` would.

    Raises:
        FetchError: the folder cannot be written.
    """
    write(_record(path), f"{sha256}  {path.name}\n")


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def write(path: Path, text: str) -> None:
    """Write a small file, whole or not at all.

    Raises:
        FetchError: it cannot be written.
    """
    try:
        with atomic.replacing(path) as file:
            file.write(text.encode())
    except StoreError as error:
        raise FetchError(str(error)) from error


def unwritable(path: Path, error: OSError) -> FetchError:
    """Say why a file could not be written."""
    return FetchError(str(atomic.unwritable(path, error)))
