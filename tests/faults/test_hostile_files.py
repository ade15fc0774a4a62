"""Hostile parcels and archives from a seeded generator."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import SEED, damaged
from test_hostile import parcel

from bench.errors import DistillbenchError, FetchError
from bench.fetch.archive import extract
from bench.track.parcel import unpack

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:Duplicate name"),  # of archives that hold one twice
]
PARCELS, ARCHIVES = 300, 1500


def test_hostile_parcels_end_in_one_line_and_leave_nothing(
    tmp_path: Path, count: Callable[..., None]
) -> None:
    chance = random.Random(f"{SEED} parcels")
    key, path, store = parcel(tmp_path)
    whole = path.read_bytes()
    values = [b"5", b"[]", b"{}", b'"x"', b"null", b"\xff", b"{", b'{"a": 1e999}', b"[" * 2000]
    names = ["cell/end.json", "cell/scores.json", "cell/losses.jsonl", "cell/spec.json",
             "cell/samples/a-0-output.png", "networks/0123456789ab.json", "../x", "/etc/x",
             "cell/\x1b[2J", "cell/" + "d/" * 300, "provenance/x.json"]  # fmt: skip
    for _ in range(PARCELS):
        path.write_bytes(whole)
        if chance.random() < 0.3:
            damaged(path, chance)
        else:
            with zipfile.ZipFile(path, "a") as file:
                file.writestr(chance.choice(names), chance.choice(values))
        said = ""
        try:
            unpack(key, path, store)
        except FetchError as error:
            said = str(error)
        count("parcels refused" if said else "parcels taken")
        if said:
            assert said.isprintable()
            assert list(store.root.iterdir()) == []
        else:
            for child in store.root.iterdir():
                assert child.name in ("cells", "networks", "provenance")
                shutil.rmtree(child)
        assert {p.name for p in tmp_path.iterdir()} <= {"empty", "full", "cell.zip", "tiny.yaml"}


def archived(chance: random.Random, path: Path) -> None:
    """Write an archive that is whole, or hostile in its members or its bytes."""
    names = ["train/1.png", "../evil", "/evil", "a/../../evil", "C:\\evil", "", ".", "..", "x" * 300,
             "train", "train/", "\udce9.png", "a\0b", "con/\x1b[2J.png"]  # fmt: skip
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", chance.choice([0, 8, 12, 14])) as file:
            for _ in range(chance.randrange(1, 6)):
                info = zipfile.ZipInfo(chance.choice(names).encode("utf-8", "replace").decode())
                info.external_attr = chance.choice(
                    [0, 0o120777 << 16, 0o020644 << 16, 0o100644 << 16]
                )
                info.compress_type = file.compression
                file.writestr(info, chance.randbytes(chance.randrange(2000)))
    else:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=chance.choice([0, 1, 2])) as file:
            for _ in range(chance.randrange(1, 6)):
                info = tarfile.TarInfo(chance.choice(names)[:90])
                data = chance.randbytes(chance.randrange(2000))
                info.size = len(data)
                info.type = chance.choice(
                    [b"0", b"0", b"5", b"2", b"1", b"3", b"x", b"g", b"L", b"S"]
                )
                info.linkname = chance.choice(["", "../../evil", "/etc/passwd"])
                file.addfile(info, io.BytesIO(data))
        path.write_bytes(gzip.compress(stream.getvalue()))
    if chance.random() < 0.5:
        damaged(path, chance)


def test_hostile_archives_end_in_one_line_and_leave_nothing(
    tmp_path: Path, count: Callable[..., None]
) -> None:
    chance = random.Random(f"{SEED} archives")
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    refused = 0
    for number in range(ARCHIVES):
        path = place / ("set.zip" if number % 2 else "set.tar.gz")
        try:
            archived(chance, path)
        except (ValueError, UnicodeError, KeyError, IndexError):  # nobody can write it
            continue
        said = ""
        try:
            extract(path, place / "set")
        except DistillbenchError as error:
            said = str(error)
        refused += bool(said)
        count("archives refused" if said else "archives unpacked")
        assert not said or said.isprintable()
        shutil.rmtree(place / "set", ignore_errors=True)
        path.unlink()
        assert [p.name for p in tmp_path.rglob("*")] == ["a", "b"], json.dumps(SEED)
    assert refused > ARCHIVES / 4
