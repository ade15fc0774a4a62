"""Arrays of numbers and names in one npz file, whole or not at all; nothing in it is code."""

from __future__ import annotations

import zipfile
import zlib
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
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, TypeError,
            NotImplementedError, RuntimeError, AttributeError) as error:  # fmt: skip
        said = str(error).partition("\n")[0]
        raise Damaged(
            f"{path}: cannot be read: {said}. Delete it: `run` makes it again."
        ) from error
    for name, array in found.items():
        if array.ndim != 1 or not (array.dtype == np.float64 or array.dtype.kind == "U"):
            raise Damaged(f"{path}: {name} is no list of numbers or names. Delete the file: "
                          "`run` makes it again.")  # fmt: skip
    return found
