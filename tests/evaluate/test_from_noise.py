"""Samples are kept batch by batch: what a kill costs, and what it does not change."""

from __future__ import annotations

import random
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_diffusion_task import plan_of
from test_train import stop_after
from tiny import student_cells, train_together

from bench.errors import Interrupted, StoreError
from bench.evaluate.feed import evaluate
from bench.evaluate.from_noise import check_room
from bench.plan.matrix import Plan
from bench.store.layout import Store
from bench.tasks.diffusion import Diffusion

CPU = torch.device("cpu")
OUTPUTS = {"samples": 11, "batch": 3, "steps": 3, "eta": 1.0}  # four batches, noise added


class Killed(BaseException):
    """In place of SIGKILL."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that were made, one by one."""
    sizes: list[int] = []
    make = Diffusion.make

    def counted(self: Diffusion, networks: Any, direction: str, items: Any, outputs: Any) -> Any:
        found = make(self, networks, direction, items, outputs)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(Diffusion, "make", counted)
    return sizes


def plan(folder: Path, **outputs: Any) -> Plan:
    return plan_of(
        folder,
        datasets={"few": {"dataset": "test_latents:Few"}},
        methods=["none"],
        architectures={
            "lite": {"architecture": "ldm_unet", "multiples": [1, 2], "blocks": 1, "attention": []}
        },
        outputs=OUTPUTS | outputs,
        metrics=["swd", "spectrum"],
    )


def scores(store: Store, key: str) -> list[Any]:
    """Return what was scored, without the time."""
    return [{n: x for n, x in s.items() if n != "scored_at"} for s in store.scores(key).values()]


def sheets(store: Store, key: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (store.folder(key) / "samples").iterdir()}


def test_a_kill_at_any_batch_costs_that_batch_and_changes_no_bit(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(0)
    asked = plan(tmp_path)
    (cell,) = student_cells(asked)
    whole, killed = Store(tmp_path / "whole"), Store(tmp_path / "killed")
    train_together([cell], asked, whole)
    with pytest.raises(Interrupted):  # a random step of training
        train_together([cell], asked, killed, stop=stop_after(chance.randrange(1, 6)))
    train_together([cell], asked, killed)
    assert evaluate(cell, whole, asked.metrics, CPU) == {}
    assert made == [3, 3, 3, 2]

    made.clear()
    counted, kill = Diffusion.make, chance.randrange(1, 4)

    def until(*args: Any) -> Any:
        if len(made) == kill:
            raise Killed
        return counted(*args)

    monkeypatch.setattr(Diffusion, "make", until)
    with pytest.raises(Killed):
        evaluate(cell, killed, asked.metrics, CPU)
    assert scores(killed, cell.key) == []
    monkeypatch.setattr(Diffusion, "make", counted)
    assert evaluate(cell, killed, asked.metrics, CPU) == {}
    assert made == [3, 3, 3, 2]  # each once, with what came before the kill
    assert scores(killed, cell.key) == scores(whole, cell.key)
    assert sheets(killed, cell.key) == sheets(whole, cell.key)


def test_a_request_to_stop_is_heard_after_a_batch(tmp_path: Path, made: list[int]) -> None:
    asked, store = plan(tmp_path), Store(tmp_path / "runs")
    (cell,) = student_cells(asked)
    train_together([cell], asked, store)
    with pytest.raises(Interrupted):
        evaluate(cell, store, asked.metrics, CPU, stop=stop_after(2))
    assert made == [3, 3]
    assert evaluate(cell, store, asked.metrics, CPU) == {}
    assert made == [3, 3, 3, 2]


def test_what_was_made_is_found_by_its_weights_and_the_way_it_was_made(
    tmp_path: Path, made: list[int]
) -> None:
    asked, store = plan(tmp_path), Store(tmp_path / "runs")
    (cell,) = student_cells(asked)
    train_together([cell], asked, store)
    assert evaluate(cell, store, asked.metrics[:1], CPU) == {}
    assert evaluate(cell, store, asked.metrics, CPU) == {}  # another metric: nothing is made
    assert made == [3, 3, 3, 2]
    before = scores(store, cell.key)

    made.clear()
    more = plan(tmp_path, samples=12)  # full batches stay
    assert evaluate(student_cells(more)[0], store, more.metrics, CPU) == {}
    assert made == [3]

    made.clear()
    other = plan(tmp_path, steps=2)
    assert evaluate(student_cells(other)[0], store, other.metrics, CPU) == {}
    assert made == [3, 3, 3, 2]

    made.clear()
    first = sorted(store.made(cell.key).glob("*/0-3.safetensors"))
    assert len(first) == 2
    for path in first:
        path.write_bytes(b"damaged")
    (store.folder(cell.key) / "scores.json").unlink()
    assert evaluate(cell, store, asked.metrics, CPU) == {}
    assert made == [3]
    assert scores(store, cell.key) == before

    store.disown(cell.key, "its weights are lost")
    assert not store.made(cell.key).exists()


def test_more_samples_than_the_disk_has_room_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, store = student_cells(plan(tmp_path)), Store(tmp_path / "not" / "yet")
    usage = namedtuple("usage", "free")
    room = 11 * 3 * 16**2  # a byte for each value of each pixel
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(room))
    check_room(cells, store, False)
    watching = [replace(cell, snapshots=1) for cell in cells]
    check_room(watching, store, False)
    with pytest.raises(StoreError, match="fewer `samples`"):
        check_room(watching, store, True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(room - 1))
    with pytest.raises(StoreError, match="fewer `samples`"):
        check_room(cells, store, False)
    store.made(cells[0].key).mkdir(parents=True)
    (store.made(cells[0].key) / "0-1.safetensors").write_bytes(b"?")
    check_room(cells, store, False)
