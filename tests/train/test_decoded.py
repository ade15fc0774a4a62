"""Images are decoded once per process, whoever reads them, and are the same as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import student_cells, tiny_plan, train_teachers, train_together

from bench.contracts.image import Pixels
from bench.contracts.image import decode as plain
from bench.data import _folders
from bench.evaluate.feed import evaluate
from bench.plan.cell import open_dataset
from bench.plan.matrix import Plan
from bench.run import preflight
from bench.store.layout import Store
from bench.train import decoded
from bench.train.decoded import open_decoded

PAIRS = 5


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are decoded from now on, by a process that has kept nothing."""
    files: list[Path] = []

    def decode(path: Path) -> Pixels:
        files.append(path)
        return plain(path)

    monkeypatch.setattr(_folders, "decode", decode)
    monkeypatch.setattr(decoded, "_KEPT", {})
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


def test_a_process_decodes_each_image_once_at_each_size(tmp_path: Path, opened: list[Path]) -> None:
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
