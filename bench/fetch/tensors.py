"""A file of weights from elsewhere is read as tensors by name; nothing in it is run."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import WeightsError

MOST = 16 << 30  # bytes of a file
DEPTH = 4  # of dictionaries in dictionaries
OBJECTS = (
    "it holds Python objects beside tensors, which could run code: where it was made, save "
    "`network.state_dict()` alone"
)


def read_tensors(path: Path, sha256: str = "") -> dict[str, Tensor]:
    """Return the tensors of a file of torch or safetensors, on the CPU.

    What lies in dictionaries of dictionaries has their keys before its name: `netG.model.1.weight`.

    Args:
        path: the file.
        sha256: what it has to be; "": whatever it is.

    Raises:
        WeightsError: it cannot be read, is no file of tensors, has changed, or would fill more
            memory than it has bytes.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size > MOST:
                raise WeightsError(
                    f"{path}: larger than {MOST >> 30} GiB: not a network's weights."
                )
            if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise WeightsError(f"{path}: has changed since the suite was read; start again.")
            file.seek(0)
            state = _read(path, file)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except pickle.UnpicklingError as error:
        is_object = "Unsupported" in str(error) or "WeightsUnpickler" in str(error)
        why = OBJECTS if is_object else str(error).partition("\n")[0]
        raise WeightsError(f"{path}: cannot be read as weights: {why}.") from error
    except Exception as error:  # whatever bytes that are no weights make of torch
        why = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path}: cannot be read as weights: {why}.") from error
    found = dict(_named(state, "", 0))
    for name, x in found.items():
        if x.layout != torch.strided or x.numel() * x.itemsize > x.untyped_storage().nbytes():
            raise WeightsError(
                f"{path}: {name}: not a plain tensor, which a network's weights are."
            )
    if not found:
        raise WeightsError(f"{path}: holds no tensors by name.")
    return found


def _read(path: Path, file: BinaryIO) -> Any:
    """Return what a file holds, by its first bytes."""
    start = file.read(9)
    file.seek(0)
    if start[8:9] == b"{":  # after the header's length
        try:
            return load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path}: cannot be read as safetensors: {error}.") from error
    if start[:2] == b"PK":
        with zipfile.ZipFile(file) as archive:
            inflated = sum(member.file_size for member in archive.infolist())
            packed = sum(member.compress_size for member in archive.infolist())
        if inflated > packed:
            raise WeightsError(f"{path}: a compressed archive, as torch writes none.")
        file.seek(0)
    elif start[:1] != b"\x80":
        raise WeightsError(f"{path}: neither a file of torch (.pth, .pt) nor of safetensors.")
    return torch.load(file, map_location="cpu", weights_only=True)


def _named(value: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of dictionaries in dictionaries; what is neither is passed over."""
    if isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping) and depth <= DEPTH:
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _named(inner, f"{name}.{key}" if name else key, depth + 1)
