"""Which images a step sees is a function of the step alone."""

from __future__ import annotations

import collections
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import by_method, tiny_plan
from torch.utils.data import DataLoader, Dataset

from bench.maths.crop import Crop
from bench.plan.learning_rate import Schedule
from bench.plan.suite import Budget
from bench.train.batches import Batches, normalise, outlive_stopping, stream
from bench.train.learner import open_task

CPU = torch.device("cpu")


@pytest.fixture
def numbered(tmp_path: Path) -> Batches:
    """Pairs whose left half says which they are, and whose right half is its negative."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for index in range(7):
            left = np.full((36, 36, 3), 20 * index, np.uint8)
            left[:, ::2] += 5  # so that a flip or a shift shows
            Image.fromarray(np.hstack([left, 255 - left])).save(tmp_path / split / f"{index}.png")
    folder = {"pairs": {"dataset": "pix2pix_folder", "path": "."}}
    plan = tiny_plan(tmp_path, datasets=folder, methods=["none"], budget={"epochs": 3, "batch": 2})
    (cell,) = by_method(plan).values()
    return Batches(cell, open_task(cell))


def test_every_image_is_seen_once_an_epoch_and_no_batch_is_short(numbered: Batches) -> None:
    steps = 7  # two epochs of seven images, two at a time
    shades = torch.cat([numbered[step]["A"].amin((1, 2, 3)) for step in range(steps)])
    numbers = ((shades + 1) * 127.5 / 20).round().long().tolist()
    assert collections.Counter(numbers[:7]) == dict.fromkeys(range(7), 1)
    assert collections.Counter(numbers[7:]) == dict.fromkeys(range(7), 1)
    assert numbers[:7] != numbers[7:]
    assert all(numbered[step]["B"].shape == (2, 3, 32, 32) for step in range(steps))


def test_a_pair_is_cropped_and_flipped_together(numbered: Batches) -> None:
    for step in range(10):
        batch = numbered[step]
        torch.testing.assert_close(batch["B"], -batch["A"], atol=0.03, rtol=0)


def test_any_step_can_be_the_first(numbered: Batches) -> None:
    whole = list(stream(numbered, 0, 6, CPU))
    late = list(stream(numbered, 4, 6, CPU))
    for a, b in zip(whole[4:], late, strict=True):
        assert all(torch.equal(a[d], b[d]) for d in "AB")


def test_crops_and_flips_vary(tmp_path: Path) -> None:
    (cell,) = by_method(tiny_plan(tmp_path, methods=["none"])).values()
    task = open_task(cell)
    draws = {Crop.draw(np.random.default_rng(seed), task.loaded(32) - 32) for seed in range(200)}
    assert {crop.top for crop in draws} == set(range(5))  # 36 px loaded, 32 px seen
    assert {crop.flip for crop in draws} == {False, True}


def test_unpaired_images_are_matched_anew_each_epoch(tmp_path: Path) -> None:
    plan = tiny_plan(
        tmp_path, datasets=["grass2brick"], architectures=["resnet9"], methods=["none"]
    )
    (cell,) = by_method(plan).values()
    batches = Batches(cell, open_task(cell))
    a, b = batches[0], batches[0]
    assert all(torch.equal(a[d], b[d]) for d in "AB")
    assert a["A"].shape == (2, 3, 32, 32)
    assert not torch.equal(batches[0]["B"], batches[95]["B"])


def test_an_epoch_is_one_of_the_larger_domain(tmp_path: Path) -> None:
    """As CycleGAN's: the first domain goes round, the other is drawn at random."""
    for split in ("train", "test"):
        for domain, count in (("A", 3), ("B", 5)):
            folder = tmp_path / f"{split}{domain}"
            folder.mkdir()
            for index in range(count):
                image = np.full((36, 36, 3), 20 * index, np.uint8)
                image[::2] += 5
                Image.fromarray(image).save(folder / f"{index}.png")
    folders = {"own": {"dataset": "cyclegan_folder", "path": "."}}
    plan = tiny_plan(
        tmp_path,
        datasets=folders,
        architectures=["resnet9"],
        methods=["none"],
        budget={"epochs": 2, "batch": 1},
    )
    (cell,) = by_method(plan).values()
    batches = Batches(cell, open_task(cell))
    shades = torch.stack([batches[step]["A"].amin() for step in range(10)])
    numbers = ((shades + 1) * 127.5 / 20).round().long().tolist()
    for epoch in (numbers[:5], numbers[5:]):
        assert sorted(epoch) == [0, 0, 1, 1, 2]
    assert cell.images_per_epoch == 5


def test_pixels_map_to_minus_one_and_one() -> None:
    pixels = np.array([[[0, 255, 51]]], np.uint8)
    torch.testing.assert_close(normalise(pixels).flatten(), torch.tensor([-1.0, 1.0, -0.6]))


def test_the_schedule_is_cyclegans() -> None:
    """100 + 100 epochs: lr factor 1 - max(0, epoch + 1 - 100) / 101, as the original prints it."""
    schedule = Schedule((Budget(epochs=200, lr=2e-4),), images=1334)
    assert schedule.steps == 200 * 1334
    factors = {epoch: schedule.lr(epoch * 1334) / 2e-4 for epoch in (0, 98, 99, 100, 150, 199)}
    expected = {0: 1, 98: 1, 99: 1, 100: 1 - 1 / 101, 150: 1 - 51 / 101, 199: 1 - 100 / 101}
    assert factors == pytest.approx(expected)
    assert schedule.lr(100 * 1334 - 1) == 2e-4
    assert schedule.lr(100 * 1334 + 7) == schedule.lr(100 * 1334)  # once per epoch


def test_a_rate_that_ends_at_zero_is_that_of_wkds_logs() -> None:
    """They print 2.0e-4 up to epoch 99 (from 1), 0.0001980 at epoch 100 and 0 at epoch 200."""
    schedule = Schedule((Budget(epochs=200, lr=2e-4, to_zero=True),), images=1334)
    found = [schedule.lr((epoch - 1) * 1334) for epoch in (99, 100, 150, 200)]
    assert found == pytest.approx([2e-4, 2e-4 * 100 / 101, 2e-4 * 50 / 101, 0])


def test_a_rate_rises_first_where_it_should() -> None:
    """A quarter more in each of four steps, then linear to almost 0 over the whole budget."""
    budget = Budget(steps=8, lr=1.0, decay=1.0, warmup=4)
    found = [Schedule((budget,), images=3).lr(s) for s in range(8)]
    falling = [1 - (s + 1) / 9 for s in range(8)]
    assert found == pytest.approx([f * min(1, (s + 1) / 4) for s, f in enumerate(falling)])
    epochs = Schedule((Budget(epochs=2, batch=2, lr=1.0, warmup=2),), images=4)
    assert [epochs.lr(s) for s in range(3)] == [0.5, 1.0, 0.5]


def test_a_budget_in_steps_falls_by_the_step() -> None:
    schedule = Schedule((Budget(steps=10, lr=1.0, decay=0.5),), images=3)
    assert [schedule.lr(s) for s in range(10)] == pytest.approx(
        [1] * 5 + [k / 6 for k in (5, 4, 3, 2, 1)]
    )
    assert Schedule((Budget(steps=4, decay=0.0, lr=1.0),), 3).lr(3) == 1.0
    assert Schedule((Budget(epochs=3, batch=4),), images=10).steps == 8


class _Terminated(Dataset[int]):
    """Its worker is sent what a scheduler sends to all processes of a job."""

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return index


def test_a_loader_outlives_the_signal_that_stops_a_run() -> None:
    loader = DataLoader(
        _Terminated(),
        batch_size=None,
        sampler=range(3),
        num_workers=1,
        worker_init_fn=outlive_stopping,
    )
    assert list(loader) == [0, 1, 2]
