"""Bytes that a user's processes share by name: a file of the cache, mapped into memory.

Whoever maps one may write to it, and nothing orders who writes what when: what is read has to be
checked. Such files can be deleted at any time; who has mapped one keeps it. No two machines map the
same, as over a network file system neither would see what the other writes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.errors import DistillbenchError
from bench.fetch.home import home
from bench.store.atomic import replacing

ON_DISK = 2**33  # bytes of all files together
UNUSED_S = 86400.0  # since a file was last opened, before it makes room for others
UNUSED_ELSEWHERE_S = 7 * UNUSED_S  # another machine's, which would not keep what it has mapped
PATIENCE_S = 10.0  # for another process that makes room


def shared_bytes(name: str, size: int) -> NDArray[np.uint8]:
    """Return [size] bytes, 0 at first, that all of a user's processes here see by this name.

    Where they cannot be shared, because the folder cannot be written, the disk is nearly full or
    the system cannot set space aside, they are of this process alone.
    """
    with contextlib.suppress(OSError, DistillbenchError, Timeout):
        folder = home() / "cache" / "decoded"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}-{_machine()}"
        with FileLock(folder / ".lock", timeout=PATIENCE_S):
            if _size(path) != size:
                path.unlink(missing_ok=True)
                _make(path, size)
        if path.exists():
            os.utime(path)
            with path.open("r+b") as file:
                return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8)
    return np.zeros(size, np.uint8)


def _make(path: Path, size: int) -> None:
    """Make a file of zeros, if there is room or can be; its space is set aside.

    Writing to a mapped file for which there is no space kills a process.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    others = sorted(path.parent.glob("[!.]*"), key=lambda other: other.stat().st_mtime)
    room = ON_DISK - sum(map(_size, others))
    for other in others:
        unused_s = UNUSED_S if other.name.endswith(_machine()) else UNUSED_ELSEWHERE_S
        if room < size and other.stat().st_mtime < time.time() - unused_s:
            room += _size(other)
            other.unlink()
    has_room = size <= min(room, shutil.disk_usage(path.parent).free // 2)
    if has_room and hasattr(os, "posix_fallocate"):
        with replacing(path, 0o600) as file:  # what it is a copy of may be nobody else's to read
            os.posix_fallocate(file.fileno(), 0, size)


@functools.cache
def _machine() -> str:
    """Return a name of this machine since it was started, other than that of any other."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    name = boot.read_text() if boot.exists() else platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
