"""Where a result is from: commit, uncommitted changes, versions, machine, command line."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.plugins.source import ROOT

MAX_DIFF_CHARS = 200_000
USER = re.compile(r"[^:/@]*(:[^@]*)?@")  # of a database, whose password may hold / ? and #


def collect() -> dict[str, Any]:
    """Return the provenance of this process as JSON values."""
    return {
        "argv": [without_password(word) for word in sys.argv],
        "commit": _git("rev-parse", "HEAD").strip(),
        "changes": _git("diff", "HEAD")[:MAX_DIFF_CHARS],
        "untracked": _git("ls-files", "--others", "--exclude-standard").splitlines(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "packages": {d.name: d.version for d in metadata.distributions() if d.name},
    }


def without_password(uri: str) -> str:
    """Return an address as others may see it, without user, password and query; or another text."""
    scheme, mark, rest = uri.partition("://")
    if scheme.endswith(("http", "https")):
        parts = urlsplit(f"//{rest}")
        return f"{scheme}{mark}{parts.netloc.rpartition('@')[2]}{parts.path}"
    user = USER.match(rest)
    host, slash, path = rest[user.end() if user else 0 :].partition("?")[0].partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def cpu_name() -> str:
    """Return the processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpus() -> list[str]:
    """Return "model, driver" of each GPU that this process may use; [] where nvidia-smi says none.

    `CUDA_VISIBLE_DEVICES` is respected. Its numbers are CUDA's, which are nvidia-smi's only by
    `CUDA_DEVICE_ORDER=PCI_BUS_ID`; else they are told only where all GPUs are alike.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "":
        return []
    if visible is None:
        return _nvidia_smi()
    is_by_number = not re.search("[A-Za-z]", visible)
    if is_by_number and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        every = _nvidia_smi()
        return every[: len(visible.split(","))] if len(set(every)) == 1 else []
    return _nvidia_smi("-i", visible)


def _nvidia_smi(*which: str) -> list[str]:
    query = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603
            ["nvidia-smi", *query, *which],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()


def _git(*args: str) -> str:
    """Return what git says of the project; nothing where it is no git checkout.

    Installed, it may lie within the checkout of something else.
    """
    if not (ROOT / ".git").exists():
        return ""
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
