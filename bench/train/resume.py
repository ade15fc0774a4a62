"""What a killed run goes on from: all that a cell's next step depends on, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.train import checkpoint


@dataclass(frozen=True)
class Left:
    """Where a cell was left, besides its tensors."""

    step: int  # taken so far
    seconds: float  # of training so far
    losses: list[dict[str, float]]  # of the steps since the last window
    digest: str  # of the weights after the first steps
    best: float  # on the validation split
    environments: list[Any]  # all that it trained under


def save(path: Path, tensors: Mapping[str, Tensor], left: Left) -> None:
    """Write where a cell is.

    Raises:
        StoreError: the file cannot be written; an older one stays.
    """
    checkpoint.save(path, tensors, {"member": json.dumps(asdict(left))})


def load(path: Path) -> tuple[dict[str, Tensor], Left]:
    """Return what `save` wrote.

    Raises:
        StoreError: the file is missing or damaged.
    """
    tensors, texts = checkpoint.load(path)
    return tensors, Left(**json.loads(texts["member"]))
