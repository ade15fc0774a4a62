"""The smallest suite that still has everything, and ways to train it in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.check.question import Question, Unasked
from bench.check.small import (
    SMALL,
    train_teachers,  # noqa: F401 - tests train by them
    train_together,  # noqa: F401
)
from bench.contracts.dataset import DOMAINS, SPLITS
from bench.errors import AbsentData, WeightsError
from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import Suite, load
from bench.plugins.registry import Part
from bench.store.layout import Store

SUITE: dict[str, Any] = SMALL | {
    "name": "tiny",
    "datasets": ["photo_edges"],
    "architectures": ["unet"],
    "methods": {"none": {}, "hinton": {}, "wkd": {}},
    "metrics": ["psnr"],
}


def write_suite(folder: Path, **changes: Any) -> Path:
    """Write the tiny suite with other keys; return its file."""
    path = folder / "tiny.yaml"
    path.write_text("# Is it tiny?\n" + yaml.safe_dump(SUITE | changes, sort_keys=False))
    return path


def tiny_plan(folder: Path, **changes: Any) -> Plan:
    return expand(load(write_suite(folder, **changes)))


def plan_without_adversary(folder: Path, keys: dict[str, Any]) -> Plan:
    """Return the plan of a suite of some task that has no discriminator."""
    folder.mkdir(exist_ok=True)
    own = {name: value for name, value in SUITE.items() if name != "discriminator_widths"}
    path = folder / "tiny.yaml"
    path.write_text("# Is it tiny?\n" + yaml.safe_dump(own | keys, sort_keys=False))
    return expand(load(path))


def keeps(question: Question) -> None:
    """Ask; what cannot be asked is skipped."""
    try:
        question.ask()
    except (Unasked, AbsentData, WeightsError) as why:
        pytest.skip(str(why))


def student_cells(plan: Plan) -> list[Cell]:
    return [e.cell for e in plan.students if e.cell is not None]


def somewhere(suite: Suite, name: str, part: Part, missing: AbsentData) -> Part:
    """Return a data set that is not here as if it had ten images in each place."""
    images = {f"{split}{domain}": 10 for split in SPLITS for domain in DOMAINS}
    return replace(part, fingerprint=f"{name} elsewhere", images=images)


def by_method(plan: Plan) -> dict[str, Cell]:
    """Return the student cells of a plan with one seed and width, by method."""
    return {e.method: e.cell for e in plan.students if e.cell is not None}


def weights(store: Store, cell: Cell) -> bytes:
    """Return the final weights of a cell as they lie on disk."""
    return store.checkpoint(cell.key).read_bytes()
