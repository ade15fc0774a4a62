"""The smallest suite that still trains, and ways to train it in this process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import Suite
from bench.store.layout import Store
from bench.train.device import configure
from bench.train.loop import Cohort, train

SMALL: dict[str, Any] = {
    "name": "check",
    "datasets": {"photo_edges": {}},
    "architectures": {"unet": {}},
    "methods": {"none": {}},
    "widths": [2],
    "discriminator_widths": [2],
    "seeds": [0],
    "size": 32,
    "budget": {"steps": 4, "batch": 2},
    "teacher": {"width": 4, "budget": {"steps": 2}},
    "metrics": {"psnr": {}},
}


def small_plan(**changes: Any) -> Plan:
    """Return the plan of the small suite with other keys."""
    return expand(Suite.model_validate(SMALL | changes))


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
    given: dict[str, Any] = {
        "emit": lambda event, key, data: heard.append((event, key, dict(data))),
        "stop": lambda: False,
    }
    return train(
        Cohort(
            cells=cells,
            teachers={c.teacher: plan.cells[c.teacher] for c in cells if c.teacher},
            store=store,
            device=torch.device(device),
            environment=environment,
            **(given | options),
        )
    )


def train_teachers(plan: Plan, store: Store, device: str = "cpu") -> None:
    """Train whatever the plan's students learn from or by, in order."""
    wanted = {key for cell in plan.cells.values() for key in cell.needs}
    for key in plan.order().static_order():
        if key in wanted:
            train_together([plan.cells[key]], plan, store, device=device)
            assert store.state(key).status == "done", store.state(key)


def students(plan: Plan) -> Iterable[Cell]:
    """Return the cells of the students."""
    return [entry.cell for entry in plan.students if entry.cell is not None]
