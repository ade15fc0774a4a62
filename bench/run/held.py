"""What only a living process needs on disk: held by a lock while it lives, swept away later.

A process that is killed removes nothing, but its lock goes with it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".held"  # in a folder that is held
YOUNG_S = 60.0  # old enough to have been locked by who made it


def hold(path: Path) -> FileLock:
    """Return a lock on a file, which is made, or on a folder, for as long as this process lives."""
    lock = FileLock(_lock(path))
    lock.acquire()
    return lock


def sweep(paths: Iterable[Path]) -> None:
    """Remove those of these files and folders that nobody holds; what cannot be removed stays."""
    for path in paths:
        try:
            if path.is_symlink() or time.time() - path.stat().st_mtime < YOUNG_S:
                continue
            with FileLock(_lock(path)).acquire(timeout=0):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except (Timeout, OSError):
            continue


def _lock(path: Path) -> Path:
    return path / LOCK if path.is_dir() else path
