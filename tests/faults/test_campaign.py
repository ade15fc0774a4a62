"""A campaign of faults: kills, damage in every kind of file, hostile parcels and archives.

Bounded and seeded: `tox -e faults`, or with another seed `FAULTS_SEED=7 tox -e faults`. Each case is
compared bit for bit with an undisturbed run, or has to end in one line.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from harness import Runs
from test_hostile import parcel
from test_other_tasks import Other

from bench.errors import DistillbenchError, FetchError
from bench.fetch.archive import extract
from bench.track.parcel import unpack

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore:Duplicate name"),  # of archives that hold one twice
]

SEED = int(os.environ.get("FAULTS_SEED", "0"))
KILLS, FLIPS, PARCELS, ARCHIVES = 6, 1, 60, 150  # of each configuration, kind, in all, in all

PAIRED: dict[str, Any] = {
    "methods": {
        "none": {}, "hinton": {}, "pca_kd": {}, "dml": {
            "method": "hinton", "teacher": {"mode": "peers"},
        },
    },
    "budget": {"steps": 60, "batch": 1}, "teacher": {"width": 4, "budget": {"steps": 40}},
    "select": {"best_on_val": "psnr", "times": 3}, "snapshots": {"times": 2, "metrics": ["psnr"]},
    "metrics": ["psnr", "swd"],
}  # fmt: skip
UNPAIRED: dict[str, Any] = {
    "datasets": ["grass2brick"], "architectures": ["resnet9"], "budget": {"steps": 24, "batch": 1},
    "methods": {"none": {}, "fesd": {"lambda_style": 0.0, "lambda_feature": 0.0}},
    "teacher": {"width": 3, "budget": {"steps": 12}}, "metrics": ["swd"],
}  # fmt: skip
PLACES = ("paired", "unpaired", "denoising", "recolouring")


def runs_of(place: str, folder: Path) -> Runs:
    if place in ("denoising", "recolouring"):
        return Other(folder, place)
    return Runs(folder, **(PAIRED if place == "paired" else UNPAIRED))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runs]:
    """Every configuration, undisturbed."""
    found = {}
    for place in PLACES:
        found[place] = runs_of(place, tmp_path_factory.mktemp(place))
        done = found[place]("run", "--jobs", "1", "--mlflow", "none")
        assert done.returncode == 0, done.stderr
    return found


def one_line_each(text: str) -> None:
    """No traceback, and nothing that nobody foresaw."""
    assert "Traceback" not in text, text
    assert "unexpected:" not in text, text


@pytest.mark.parametrize("place", PLACES)
def test_random_kills_of_the_tree_change_no_bit(
    tmp_path: Path, whole: dict[str, Runs], place: str
) -> None:
    """With MLflow beside it, so that some kills meet the making of runs."""
    chance = random.Random(f"{SEED} kills {place}")
    runs = runs_of(place, tmp_path / "killed")
    for _ in range(KILLS):
        jobs = chance.choice(["1", "2"])
        process = runs.start("run", "--jobs", jobs, "--checkpoint-every", "0")
        seen, waits = runs.progress(), chance.randrange(8)
        while runs.progress() < seen + waits and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 2))
        os.killpg(process.pid, 9)
        process.communicate()
    done = runs("run", "--jobs", "2")
    one_line_each(done.stderr)
    assert done.returncode == 0, done.stderr
    assert runs.results() == whole[place].results()


KINDS = [
    "checkpoint.safetensors", "end.json", "scores.json", "spec.json", "losses.jsonl",
    "snapshots/*.safetensors", "samples/*.png", "../../networks/*.json",
    "../../reals/*.safetensors", "../../provenance/*.json",
]  # fmt: skip


def damaged(path: Path, chance: random.Random) -> str:
    """Damage a file in one of the ways in which disks, people and programs do."""
    data = bytearray(path.read_bytes())
    how = chance.choice(["bit", "cut", "zeros", "empty", "text", "list"])
    if how == "bit":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[chance.randrange(len(data)) :]
    elif how == "zeros":
        start = chance.randrange(len(data))
        data[start : start + 64] = bytes(len(data[start : start + 64]))
    else:
        data = bytearray({"empty": b"", "text": b"hello", "list": b"[5]"}[how])
    path.write_bytes(data)
    return how


@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_store_is_one_line_and_is_mended(
    tmp_path: Path, whole: dict[str, Runs], kind: str
) -> None:
    """After at most three runs, and after the deletions that lines ask for, all is as it was."""
    chance = random.Random(f"{SEED} damage {kind}")
    before = whole["paired"].results()
    for case in range(FLIPS):
        runs = runs_of("paired", tmp_path / str(case))
        shutil.copytree(whole["paired"].folder / "runs", runs.folder / "runs")
        cells = sorted((runs.folder / "runs" / "cells").iterdir())
        files = (
            [p for c in cells for p in sorted(c.glob(kind))]
            if ".." not in kind
            else sorted((runs.folder / "runs").glob(kind.removeprefix("../../")))
        )
        how = damaged(path := chance.choice(files), chance)
        for verb in ("status", "plan", "verify", "report"):
            said = runs(verb, *(["--out", str(tmp_path / f"r{case}")] if verb == "report" else []))
            one_line_each(said.stderr + said.stdout)
            assert said.returncode in (0, 1, 2), (how, path)
        for _ in range(3):
            done = runs("run", "--jobs", "1", "--mlflow", "none", "--set", "metrics.ssim={}")
            one_line_each(done.stderr)
            if done.returncode == 0:
                break
            for name in re.findall(r"(/\S+?\.json): ", done.stderr):
                Path(name).unlink(missing_ok=True)  # as the line says
        assert done.returncode == 0, (how, path, done.stderr)
        found = runs.results()
        for key, (weights, scores, _) in before.items():
            assert found[key][0] == weights, (how, path)
            if kind != "scores.json":  # a bit of a number that is a number again, nobody can see
                mine = {m: v for m, v in found[key][1].items() if m in scores}
                assert mine == scores, (how, path)


def test_hostile_parcels_end_in_one_line_and_leave_nothing(tmp_path: Path) -> None:
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


def test_hostile_archives_end_in_one_line_and_leave_nothing(tmp_path: Path) -> None:
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
        assert not said or said.isprintable()
        shutil.rmtree(place / "set", ignore_errors=True)
        path.unlink()
        assert [p.name for p in tmp_path.rglob("*")] == ["a", "b"], json.dumps(SEED)
    assert refused > ARCHIVES / 4
