"""How long the rest will take, from step times measured so far."""

from __future__ import annotations

import json
from typing import Any

from bench.plan.cell import Cell
from bench.plan.learning_rate import schedule_of
from bench.store.layout import Store


def time_left(store: Store, todo: list[Cell]) -> tuple[float, int]:
    """Return the seconds of training left, and how many cells have no step time to go by.

    A cell's time per step is the mean over all cells of the store with the same networks, image
    size and batch, if possible of the same method. Cells that are given take none.
    """
    measured: dict[str, list[float]] = {}
    for spec in store.specs() if todo else ():
        if "given" not in spec["cell"] and (last := store.last_loss(spec["key"])):
            for kind in _kinds(spec["cell"]):
                measured.setdefault(kind, []).append(last["seconds"] / last["step"])
    seconds, unknown = 0.0, 0
    for cell in (cell for cell in todo if not cell.given):
        kinds = _kinds(json.loads(cell.canonical))
        paces = next((measured[kind] for kind in kinds if kind in measured), None)
        if paces is None:
            unknown += 1
        else:
            taken = store.last_loss(cell.key).get("step", 0)
            seconds += (schedule_of(cell).steps - taken) * sum(paces) / len(paces)
    return seconds, unknown


def _kinds(cell: dict[str, Any]) -> list[str]:
    """Return what decides a cell's time per step, the narrower kind first."""
    cost = [cell["task"], cell["nets"], cell["mentor"], cell["size"], cell["budget"]["batch"]]
    cost += [cell[name] for name in ("alternation", "deeper", "latents") if name in cell]
    methods = [part["name"] for part in cell["methods"]]
    return [json.dumps([*cost, *methods]), json.dumps(cost)]
