"""Pretrained networks by name: where they come from, and what they must be.

Files lie in `$DISTILLBENCH_HOME/weights` (default `~/.cache/distillbench/weights`). A file whose
sha256 is not the published one is refused, and nothing falls back to random weights.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from bench.errors import WeightsError, unknown


@dataclass(frozen=True)
class Weights:
    """One published file."""

    file: str
    url: str
    sha256: str  # or as much of it as was published
    licence: str


KNOWN = {
    "vgg19": Weights(
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "dcbb9e9d",
        "BSD-3-Clause (torchvision)",
    ),
    "inception": Weights(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Apache-2.0 (TensorFlow models; conversion: torch-fidelity)",
    ),
}


def home() -> Path:
    """Return the folder of everything downloaded."""
    default = Path.home() / ".cache" / "distillbench"
    return Path(os.environ.get("DISTILLBENCH_HOME", default)).expanduser()


def find(name: str) -> Path:
    """Return the checked file of a pretrained network.

    Raises:
        WeightsError: the file is not there, or its sha256 is not the published one.
    """
    if name not in KNOWN:
        raise WeightsError(unknown("weights", name, KNOWN, "bench/weights.py"))
    known = KNOWN[name]
    path = home() / "weights" / known.file
    if not path.is_file():
        raise WeightsError(
            f"{path}: missing. Put the file from {known.url} there (sha256 begins "
            f"{known.sha256}, licence {known.licence})."
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(known.sha256):
        raise WeightsError(
            f"{path}: its sha256 begins {found[:12]}, the published one {known.sha256}; "
            f"fetch it again from {known.url}."
        )
    return path
