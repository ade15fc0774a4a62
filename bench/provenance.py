"""Where a result is from: commit, uncommitted changes, versions, machine, command line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.plugins import ROOT

MAX_DIFF_CHARS = 200_000


def collect() -> dict[str, Any]:
    """Return the provenance of this process as JSON values."""
    return {
        "argv": sys.argv,
        "commit": _git("rev-parse", "HEAD").strip(),
        "changes": _git("diff", "HEAD")[:MAX_DIFF_CHARS],
        "untracked": _git("ls-files", "--others", "--exclude-standard").splitlines(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "packages": {d.name: d.version for d in metadata.distributions() if d.name},
    }


def cpu_name() -> str:
    """Return the processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*args: str) -> str:
    """Return what git says of the project; nothing where it is no git checkout."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(ROOT), *args],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
