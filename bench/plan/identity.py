"""Ids: what a JSON value is called, the same on any machine, and safe as a file's name."""

from __future__ import annotations

import hashlib
import json
import re


def identity(value: object) -> str:
    """Return 12 hex digits of the sha256 of a JSON value."""
    return identity_of_text(json.dumps(value, sort_keys=True, separators=(",", ":")))


def identity_of_text(text: str) -> str:
    """Return 12 hex digits of the sha256 of a text; of a cell's canonical text they are its key."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_identity(name: object) -> bool:
    """Say whether a text could be what `identity` returns, and so is safe as a file's name."""
    return isinstance(name, str) and re.fullmatch("[0-9a-f]{12}", name) is not None
