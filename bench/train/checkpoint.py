"""Tensors on disk: one safetensors file, whole or not at all, and checked when it is opened.

Every file carries a digest of its tensors and notes. Files that were written before there were
digests are believed, said to have none, and given one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import Damaged, StoreError
from bench.store.atomic import replacing, unwritable

NOTES = "notes"  # one entry, since safetensors keeps several in no fixed order

Say = Callable[[str], None]

_TOLD: set[Path] = set()  # where files without a digest were said to be, by this process


def save(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and short texts beside them.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older file stays.
    """
    whole = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    with replacing(path) as file:
        try:
            told = {**notes, "digest": _digest(whole, notes)}
            save_file(whole, file.name, {NOTES: json.dumps(told, sort_keys=True)})
        except SafetensorError as error:  # it wraps what the system said
            raise unwritable(path, OSError(str(error))) from error


def load(path: Path, say: Say = lambda text: None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save` wrote, on the CPU.

    Args:
        path: the file.
        say: told of a file that had no digest yet.

    Raises:
        Damaged: the file is missing, cannot be read, or is not what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            written = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise Damaged(f"{path}: cannot be read: {error}.") from error
    if NOTES not in written:
        if path.parent.parent not in _TOLD:
            _TOLD.add(path.parent.parent)
            say(f"{path}, and perhaps others, had no digest; taken as it is, and given one")
        with contextlib.suppress(StoreError):  # a store that may only be read
            save(path, tensors, written)
        return tensors, written
    try:
        notes: dict[str, str] = json.loads(written[NOTES])
        expected = notes.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError):
        expected, notes = "", {}
    if expected != _digest(tensors, notes):
        raise Damaged(f"{path}: damaged: its contents are not those that were written.")
    return tensors, notes


def digest(state: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of the sha256 of weights, bit for bit."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode())
        found.update(_bytes(state[name]))
    return found.hexdigest()[:16]


def _digest(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> str:
    """Return the sha256 of names, types, shapes and bytes of tensors, and of notes."""
    heads = [[name, str(x.dtype), list(x.shape)] for name, x in sorted(tensors.items())]
    found = hashlib.sha256(json.dumps([heads, dict(notes)], sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(_bytes(tensors[name]))
    return found.hexdigest()


def _bytes(x: Tensor) -> memoryview:
    """Return a tensor's bytes, whatever its type."""
    flat = x.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
