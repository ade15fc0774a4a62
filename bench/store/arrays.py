"""Arrays of numbers and names in one npz file, whole or not at all; nothing in it is code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Damaged
from bench.store.atomic import replacing

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write [N] arrays of float64, or of text, by name.

    Raises:
        StoreError: the disk is full or the folder cannot be written; an older file stays.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_arrays(path: Path) -> Arrays:
    """Return what `write_arrays` wrote; each array carries a checksum.

    Raises:
        Damaged: the file is missing, cannot be read, or is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {
                name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()
            }
    except Exception as error:  # what a damaged archive raises, nobody has listed
        said = str(error).partition("\n")[0]
        raise Damaged(
            f"{path}: cannot be read: {said}. Delete it: `run` makes it again."
        ) from error
    return found


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read one array.

    Raises:
        ValueError: it is no list of numbers or texts.
    """
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        member.read()  # the checksum is held against what was read, at the end
    if array.ndim != 1 or not (array.dtype == np.float64 or array.dtype.kind == "U"):
        raise ValueError(f"{name} is no list of numbers or texts")
    return array
