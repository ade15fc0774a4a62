"""What a killed run goes on from: all that a cell's next step depends on, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.errors import Damaged
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
    pulls: list[Any] = field(default_factory=list)  # how strongly methods pulled so far


def save(path: Path, key: str, tensors: Mapping[str, Tensor], left: Left) -> None:
    """Write where the cell of a key is.

    Raises:
        StoreError: the file cannot be written; an older one stays.
    """
    checkpoint.save(path, tensors, {"key": key, "member": json.dumps(asdict(left))})


def load(
    path: Path, key: str, say: checkpoint.Say = lambda text: None
) -> tuple[dict[str, Tensor], Left]:
    """Return what `save` wrote; `say` is told of a file that had no digest yet.

    Raises:
        Damaged: the file is missing, damaged or of another cell.
    """
    tensors, texts = checkpoint.load(path, say)
    if texts.get("key", key) != key:
        raise Damaged(f"{path}: this is where cell {texts['key']} was left.")
    try:
        return tensors, Left(**json.loads(texts["member"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path}: says not where the cell was left ({error!r}).") from error
