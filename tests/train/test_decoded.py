"""Images are decoded once per machine, whoever reads them, and are the same as ever."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny import student_cells, tiny_plan, train_teachers, train_together
from torch.utils.data import DataLoader

from bench.contracts.dataset import Dataset
from bench.contracts.image import Pixels
from bench.contracts.image import decode as plain
from bench.data import _folders
from bench.evaluate.feed import evaluate
from bench.fetch.home import home
from bench.plan.cell import open_dataset
from bench.plan.matrix import Plan
from bench.plugins.registry import Part
from bench.run import preflight
from bench.store.layout import Store
from bench.train import decoded, shared_bytes
from bench.train.batches import Batches
from bench.train.decoded import content_of, open_decoded
from bench.train.learner import open_task

PAIRS = 5


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "_KEPT", {})


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are decoded from now on."""
    files: list[Path] = []

    def decode(path: Path) -> Pixels:
        files.append(path)
        return plain(path)

    monkeypatch.setattr(_folders, "decode", decode)
    _folders._pair.cache_clear()
    return files


def plan_of_pairs(folder: Path, **changes: object) -> Plan:
    """Return the plan of a suite of five pairs in each split."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (folder / split).mkdir()
        for index in range(PAIRS):
            pixels = rng.integers(0, 256, (40, 80, 3), np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{index}.png")
    return tiny_plan(folder, datasets={"p": {"dataset": "pix2pix_folder", "path": "."}}, **changes)


def test_each_image_is_decoded_once_at_each_size(tmp_path: Path, opened: list[Path]) -> None:
    """Two cohorts, a method that looks at all inputs, a metric, and the check before."""
    plan = plan_of_pairs(tmp_path, methods=["none", "pca_kd"], seeds=[0, 1])
    store, cells = Store(tmp_path / "store"), student_cells(plan)
    preflight.check(plan.cells.values(), plan.cells, lambda text: None)
    train_teachers(plan, store)
    for seed in (0, 1):
        train_together([c for c in cells if c.seed == seed], plan, store)
    for cell in cells:
        assert not evaluate(cell, store, plan.metrics, torch.device("cpu"))
    counts = {file: opened.count(file) for file in opened}
    assert len(counts) == 2 * PAIRS
    # both halves at 32 px; in training at 36 px too
    assert all(n <= 2 + 2 * (file.parent.name == "train") for file, n in counts.items())


def test_a_pair_that_is_not_kept_is_decoded_once_for_both_halves(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "OF_A_SPLIT", 0)
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    data = open_decoded(cell.dataset)
    halves = [data.read("train", domain, 0, 40) for domain in "AB"]
    assert len(opened) == 1
    assert np.array_equal(np.hstack(halves), plain(opened[0]))
    Image.fromarray(255 - plain(opened[0])).save(opened[0])
    assert np.array_equal(data.read("train", "A", 0, 40), 255 - halves[0])


def test_what_is_kept_is_what_the_data_set_reads_and_nobody_can_change_it(tmp_path: Path) -> None:
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    for _ in range(2):
        found = open_decoded(cell.dataset).read("test", "B", 3, 32)
        assert np.array_equal(found, open_dataset(cell.dataset).read("test", "B", 3, 32))
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 0


def test_what_was_read_longest_ago_makes_room(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "AT_MOST", 2 * PAIRS * 32 * 32 * 3)
    monkeypatch.setattr(shared_bytes, "ON_DISK", 0)
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    data = open_decoded(cell.dataset)
    for split, domain in (("train", "A"), ("train", "B"), ("train", "A"), ("test", "A")):
        data.read(split, domain, 0, 32)
    assert len(opened) == 2  # train's pair, and test's
    data.read("train", "A", 0, 32)
    assert len(opened) == 2
    data.read("train", "B", 0, 32)
    assert len(opened) == 3
    assert len(decoded._KEPT) == 2


def read_all(part: Part[Dataset]) -> NDArray[np.uint8]:
    """Return all images of a set of pairs, as training reads them."""
    data = open_decoded(part)
    places = [(split, domain) for split in ("train", "test") for domain in "AB"]
    return np.stack([data.read(*place, i, 32) for place in places for i in range(PAIRS)])


def read_without_files(part: Part[Dataset]) -> NDArray[np.uint8]:
    """Do so where no image can be decoded; run in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(_folders, "decode")
        return read_all(part)


def test_what_a_process_decoded_no_other_decodes(tmp_path: Path) -> None:
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    ours = read_all(cell.dataset)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        assert np.array_equal(other.submit(read_without_files, cell.dataset).result(), ours)


def test_what_loaders_decoded_nobody_decodes(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    batches = Batches(cell, open_task(cell))
    steps = range(2 * len(batches))
    loader = DataLoader(batches, batch_size=None, sampler=steps, num_workers=2)
    theirs = list(loader)
    assert opened == []
    monkeypatch.setattr(decoded, "_KEPT", {})
    for step, batch in zip(steps, theirs, strict=True):
        assert all(torch.equal(batch[name], x) for name, x in batches[step].items())
    assert opened == []


def files() -> list[Path]:
    return sorted((home() / "cache" / "decoded").glob("[!.]*"))


def test_damage_is_noticed_and_mended(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    images = read_all(cell.dataset)
    torn, cut, *_ = files()
    assert {file.stat().st_mode & 0o777 for file in files()} == {0o600}
    data = bytearray(torn.read_bytes())
    data[-1] ^= 1  # of the last image
    torn.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-1])
    monkeypatch.setattr(decoded, "_KEPT", {})
    opened.clear()
    _folders._pair.cache_clear()
    assert np.array_equal(read_all(cell.dataset), images)
    mended = len(opened)
    assert mended <= 1 + PAIRS  # no image of the other files
    monkeypatch.setattr(decoded, "_KEPT", {})
    assert np.array_equal(read_all(cell.dataset), images)
    assert len(opened) == mended


def test_another_decoder_shares_nothing(
    tmp_path: Path, opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    read_all(cell.dataset)
    before = len(files())
    monkeypatch.setattr(decoded, "_decoder", lambda: ["another Pillow"])
    opened.clear()
    read_all(cell.dataset)
    assert len(opened) >= 2 * PAIRS
    assert len(files()) == 2 * before


OWN = """
from bench.data.pix2pix_folder import Pix2PixFolder
class Mine(Pix2PixFolder):
    "A user's own."
    version = 1
"""


def test_what_a_users_own_data_set_decoded_no_other_process_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it decodes with is not known: libraries, helpers, files beside it."""
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    (tmp_path / "own_pairs.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    part = replace(cell.dataset, name="own_pairs:Mine")
    assert cell.dataset.is_ours
    assert not part.is_ours
    first, ours = content_of(part), content_of(cell.dataset)
    assert np.array_equal(read_all(part)[0], open_dataset(part).read("train", "A", 0, 32))
    assert files() == []
    decoded._process.cache_clear()  # as in another process
    assert content_of(part) != first
    assert content_of(cell.dataset) == ours


def test_no_two_machines_share_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shared_bytes.shared_bytes("images", 100)[:] = 7
    monkeypatch.setattr(shared_bytes, "_machine", lambda: "another")
    monkeypatch.setattr(shared_bytes, "ON_DISK", 250)
    assert not shared_bytes.shared_bytes("images", 100).any()
    (here,) = (file for file in files() if not file.name.endswith("another"))
    for days, count in ((2, 2), (8, 1)):  # the other may have it mapped still
        os.utime(here, (time.time() - days * 86400,) * 2)
        shared_bytes.shared_bytes("third", 100)
        assert len(files()) == 2
        assert here.exists() == (count == 2)


def test_what_nobody_used_for_long_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_bytes, "ON_DISK", 250)
    for name in ("old", "new"):
        shared_bytes.shared_bytes(name, 100)[:] = 7
    old, new = (next(f for f in files() if f.name.startswith(name)) for name in ("old", "new"))
    shared_bytes.shared_bytes("third", 100)[:] = 7
    assert files() == [new, old]  # both are in use, perhaps
    assert not shared_bytes.shared_bytes("third", 100).any()  # it was of its process alone
    os.utime(old, (0, 0))
    shared_bytes.shared_bytes("third", 100)[:] = 7
    assert [file.name.partition("-")[0] for file in files()] == ["new", "third"]
    assert shared_bytes.shared_bytes("third", 100).all()


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (home() / "cache").mkdir(parents=True)
    (home() / "cache" / "decoded").touch()
    (cell,) = student_cells(plan_of_pairs(tmp_path, methods=["none"]))
    plain_images = [open_dataset(cell.dataset).read("train", "A", i, 32) for i in range(PAIRS)]
    assert np.array_equal(read_all(cell.dataset)[:PAIRS], plain_images)
