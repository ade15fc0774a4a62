"""The smallest suite that still has everything, and ways to train it in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from bench.contracts.dataset import DOMAINS, SPLITS
from bench.errors import AbsentData
from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import Suite, load
from bench.plugins.registry import Part
from bench.store.layout import Store
from bench.train.device import configure
from bench.train.loop import Cohort, train

SUITE: dict[str, Any] = {
    "name": "tiny",
    "datasets": ["photo_edges"],
    "architectures": ["unet"],
    "methods": {"none": {}, "hinton": {}, "wkd": {}},
    "widths": [2],
    "discriminator_widths": [2],
    "seeds": [0],
    "size": 32,
    "budget": {"steps": 4, "batch": 2},
    "teacher": {"width": 4, "budget": {"steps": 2}},
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


def student_cells(plan: Plan) -> list[Cell]:
    return [e.cell for e in plan.students if e.cell is not None]


def somewhere(suite: Suite, name: str, part: Part, missing: AbsentData) -> Part:
    """Return a data set that is not here as if it had ten images in each place."""
    images = {f"{split}{domain}": 10 for split in SPLITS for domain in DOMAINS}
    return replace(part, fingerprint=f"{name} elsewhere", images=images)


def by_method(plan: Plan) -> dict[str, Cell]:
    """Return the student cells of a plan with one seed and width, by method."""
    return {e.method: e.cell for e in plan.students if e.cell is not None}


def train_together(
    cells: list[Cell],
    plan: Plan,
    store: Store,
    events: list[Any] | None = None,
    device: str = "cpu",
    **options: Any,
) -> dict[str, str]:
    """Train cells as one cohort; return their digests."""
    environment = {"environment": configure(device, 1, cells[0].numerics), "provenance": ""}
    heard = events if events is not None else []
    given = {
        "emit": lambda event, key, data: heard.append((event, key, dict(data))),
        "stop": lambda: False,
    } | options
    return train(
        Cohort(
            cells=cells,
            teachers={c.teacher: plan.cells[c.teacher] for c in cells if c.teacher},
            store=store,
            device=torch.device(device),
            environment=environment,
            **given,
        )
    )


def train_teachers(plan: Plan, store: Store, device: str = "cpu") -> None:
    """Train whatever the plan's students learn from or by, in order."""
    wanted = {key for cell in plan.cells.values() for key in cell.needs}
    for key in plan.order().static_order():
        if key in wanted:
            train_together([plan.cells[key]], plan, store, device=device)
            assert store.state(key).status == "done", store.state(key)


def weights(store: Store, cell: Cell) -> bytes:
    """Return the final weights of a cell as they lie on disk."""
    return store.checkpoint(cell.key).read_bytes()
