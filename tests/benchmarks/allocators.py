"""The allocator as it comes, and keeping large blocks: each measures in a process of its own.

On glibc, blocks of 32 MB and more are mapped anew at each use, which slows large batches. The
variables have to be set before a process starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

ALLOCATORS = {
    "default": {},
    "kept": {
        "MALLOC_MMAP_THRESHOLD_": str(2**34),
        "MALLOC_TRIM_THRESHOLD_": str(2**34),
        "MALLOC_TOP_PAD_": str(2**28),
    },
}


def under_each(file: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run a script under each allocator; return what its last line says, as JSON."""
    found = {}
    for name, settings in ALLOCATORS.items():
        done = subprocess.run(
            [sys.executable, "-W", "ignore::UserWarning", file, *arguments],
            env={**os.environ, **settings, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            check=True,
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found
