"""Every random draw is a pure function of the axes it should depend on.

A seed is derived by hashing those axes, and within a run the step is one of them. So methods that
are compared share what they should share (initial weights, order of batches, noise), and a run
that resumes at step k has no random state to restore.
"""

from __future__ import annotations

import hashlib
import json


def derive(purpose: str, *axes: object) -> int:
    """Return a 63-bit seed for `purpose` that depends on `axes` and on nothing else.

    Args:
        purpose: what is drawn, e.g. "batches"; two purposes never share a stream.
        axes: JSON values; equal axes give equal seeds on any machine.
    """
    text = json.dumps([purpose, *axes], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
