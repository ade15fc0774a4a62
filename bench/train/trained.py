"""The networks of a trained cell are opened, and held against how the cell ended."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from bench.errors import Damaged
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.checkpoint import Say


def open_networks(
    store: Store, key: str, step: int = 0, say: Say = lambda text: None
) -> dict[str, Tensor]:
    """Return the weights of a cell that is done, or of its snapshot at a step, on the CPU.

    Raises:
        Damaged: the file is missing, damaged or another's. The cell no longer counts as done, so
            that the next run trains it, and those that lack its weights, again.
    """
    try:
        return _checked(store, key, step, say)
    except Damaged as error:
        reason = f"{error} The next `distillbench run` trains cell {key} again."
        store.disown(key, reason)
        raise Damaged(reason) from error


def damage(store: Store, key: str) -> str:
    """Return what is wrong with the weights of a cell that is done; "" if nothing is."""
    try:
        _checked(store, key, 0, lambda text: None)
    except Damaged as error:
        return str(error)
    return ""


def _checked(store: Store, key: str, step: int, say: Say) -> dict[str, Tensor]:
    path: Path = store.snapshot(key, step) if step else store.checkpoint(key)
    tensors, notes = checkpoint.load(path, say)
    if notes.get("key", key) != key:
        raise Damaged(f"{path}: these are the weights of cell {notes['key']}.")
    ended = store.read(key, "end.json").get("weights", "")
    if not step and ended and checkpoint.digest(tensors) != ended:
        raise Damaged(f"{path}: these are not the weights with which the cell ended.")
    return tensors
