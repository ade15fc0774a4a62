"""Tensors on disk: one safetensors file, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import StoreError
from bench.store.atomic import replacing, unwritable


def save(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and short texts beside them.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older file stays.
    """
    whole = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    with replacing(path) as file:
        try:
            save_file(whole, file.name, dict(notes))
        except SafetensorError as error:  # it wraps what the system said
            raise unwritable(path, OSError(str(error))) from error


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save` wrote, on the CPU.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path}: cannot be read: {error}. "
            f"Delete the folder {path.parent} to have it made again."
        ) from error
