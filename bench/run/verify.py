"""Repeats the first steps of a trained cell and compares the weights bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import StoreError
from bench.plan.cell import Cell
from bench.store.layout import Store
from bench.train.device import configure
from bench.train.loop import Cohort, train
from bench.train.trained import damage


@dataclass(frozen=True)
class Verdict:
    """What repeating a cell showed."""

    key: str
    same: bool | None  # None: there is nothing to compare
    steps: int  # that were repeated; 0: it was given, or a file is damaged, and nothing was
    explanation: str  # what differs about the machine, where bits differ; or what is damaged

    @property
    def said(self) -> str:
        """The verdict in two words or so."""
        if self.same is None:
            return "given"
        if not self.same and not self.steps:
            return "DAMAGED"
        after = f" after {self.steps} steps" if self.steps else ""
        return ("same bits" if self.same else "DIFFERS") + after


def verify(
    cell: Cell,
    teachers: Mapping[str, Cell],
    store: Store,
    expected: Mapping[str, Any],
    device: str,
) -> Verdict:
    """Train a cell's first steps again, in a store of its own.

    Args:
        cell: what to repeat.
        teachers: key -> cell of its frozen teacher, which must be trained in `store`.
        store: where the checkpoints of its teacher and its autoencoder lie.
        expected: the cell's `end.json`, from a store or from a bundle.
        device: "cpu" or "cuda".

    A cell that is given has nothing to repeat: its weights in the store are compared all the same,
    and of images nothing is.

    Raises:
        StoreError: the cell did not end, or its teacher is not there.
    """
    if cell.given:
        return _given(cell, store, expected)
    if not expected.get("digest"):
        raise StoreError(f"cell {cell.key} has no digest to compare with; it has not ended.")
    for key in (cell.key, *cell.needs):
        if (key != cell.key or store.checkpoint(key).exists()) and (wrong := damage(store, key)):
            return Verdict(cell.key, False, 0, wrong)
    then = expected["environment"]
    flags = configure(device, then["threads"], cell.numerics)
    steps = expected["digest_step"]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Store(Path(folder))
        for key in cell.needs:
            place = scratch.folder(key)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(store.folder(key).resolve(), target_is_directory=True)
        cohort = Cohort(
            cells=[cell],
            teachers=teachers,
            store=scratch,
            device=torch.device(device),
            environment={"environment": flags, "provenance": ""},
            emit=lambda event, key, data: None,
            stop=lambda: False,
            until=steps,
        )
        found = train(cohort).get(cell.key, "")
    differs = [f"{k}: {then.get(k)} then, {v} now" for k, v in flags.items() if then.get(k) != v]
    if "environments" in expected:
        differs.append("it was resumed under other flags or on another machine")
    differs += [f"{operator} is not deterministic" for operator in expected["nondeterministic"]]
    return Verdict(cell.key, found == expected["digest"], steps, "; ".join(differs))


def _given(cell: Cell, store: Store, expected: Mapping[str, Any]) -> Verdict:
    """Compare what is kept of a cell that is given with what was taken up."""
    nothing = "given, not trained: nothing to repeat"
    if not cell.has_networks:
        return Verdict(cell.key, None, 0, nothing)
    path = store.checkpoint(cell.key)
    if not path.exists():
        mend = f"delete {path.parent}, and `distillbench run` takes them up again"
        return Verdict(cell.key, False, 0, f"{path.name} is missing; {mend}")
    wrong = damage(store, cell.key)
    if not wrong and store.read(cell.key, "end.json").get("weights") != expected.get("weights"):
        wrong = f"{path}: these are not the weights that were taken up then"
    return Verdict(cell.key, not wrong, 0, wrong or nothing)
