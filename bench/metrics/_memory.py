"""How much memory a call of a network takes, and how much there is.

On a GPU torch's allocator says it exactly. On a CPU the kernel counts the process's resident pages,
of which Linux tells the highest count, and lets it start anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MACHINE, CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
FORGET_PEAK = "5"  # what proc(5) wants to read in `clear_refs`
KIB = 1024


@torch.inference_mode()
def peak_on_gpu(act: Callable[[], Any], device: torch.device) -> int:
    """Return the peak of bytes that torch's allocator has handed out, from an empty cache.

    Called once more before, so that what libraries allocate once and keep is there already.
    """
    act()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    act()
    return int(torch.cuda.max_memory_allocated(device))


@torch.inference_mode()
def growth_on_cpu(act: Callable[[], Any]) -> float:
    """Return by how many bytes a call made the process grow at its peak; 0 where none can tell."""
    try:
        CLEAR.write_text(FORGET_PEAK)
    except OSError:
        return 0.0
    before = _kibibytes(STATUS, "VmRSS")
    act()
    return max(0.0, _kibibytes(STATUS, "VmHWM") - before) * KIB


def available() -> float:
    """Return how many bytes this process may still take without swapping; infinite if unknown."""
    try:
        free = _kibibytes(MACHINE, "MemAvailable") * KIB
        limit = CONTAINER.read_text().strip() if CONTAINER.exists() else "max"
        return min(free, math.inf if limit == "max" else int(limit) - resident())
    except OSError:
        return math.inf


def resident() -> float:
    """Return the bytes of memory that this process has."""
    return _kibibytes(STATUS, "VmRSS") * KIB


def _kibibytes(file: Path, name: str) -> float:
    """Return what a line of a file of /proc says, as `VmRSS:  1964 kB`."""
    (found,) = (line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
    return float(found.split()[1])
