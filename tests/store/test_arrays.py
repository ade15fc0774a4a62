"""Arrays by name in one file: what is written is read, and what is damaged is named."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bench.errors import Damaged
from bench.store.arrays import read_arrays, write_arrays

ARRAYS = {"names/AtoB": np.array(["a.png", "ä b.png"]), "each/0a/psnr": np.array([1.5, np.nan])}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", ARRAYS)
    found = read_arrays(tmp_path / "x.npz")
    assert list(found) == list(ARRAYS)
    assert found["names/AtoB"].tolist() == ["a.png", "ä b.png"]
    np.testing.assert_array_equal(found["each/0a/psnr"], ARRAYS["each/0a/psnr"])


@pytest.mark.parametrize("cut", [0, 1, 30, 200])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, cut: int) -> None:
    write_arrays(path := tmp_path / "x.npz", ARRAYS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Damaged, match=r"x\.npz: .*Delete it: `run` makes it again\.$"):
        read_arrays(path)


def test_a_bit_that_changed_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    write_arrays(path := tmp_path / "x.npz", ARRAYS)
    whole = path.read_bytes()
    noticed = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = read_arrays(path)
        except Damaged:
            noticed += 1
        else:
            for name in set(found) & set(ARRAYS):
                np.testing.assert_array_equal(found[name], ARRAYS[name])
    assert noticed > len(whole) / 2


def test_objects_and_tables_are_no_arrays_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for array in (np.array([{}], dtype=object), np.zeros((2, 2)), np.zeros(2, np.int64)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", buffer.getvalue())
        with pytest.raises(Damaged, match=r"x\.npz: "):
            read_arrays(path)
    with pytest.raises(Damaged, match=r"none\.npz: "):
        read_arrays(tmp_path / "none.npz")
