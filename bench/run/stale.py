"""Why a cell is not cached although something like it is, and what changed under one that is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.plan.cell import Cell
from bench.store.layout import Json


def place_of(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes two cells the same place of a matrix."""
    nets = spec["nets"]
    methods = "+".join(part["name"] for part in spec["methods"])
    names = (spec["dataset"]["name"], nets["architecture"]["name"], methods)
    return (*names, str(nets["width"]), nets.get("discriminator_width", 0), spec["seed"])


class Specs:
    """The specs in a store, by place."""

    def __init__(self, specs: Iterable[Json]) -> None:
        self.by_place: dict[tuple[Any, ...], list[Json]] = {}
        self.by_key: dict[str, Json] = {}
        for spec in specs:
            if "given" not in spec["cell"]:
                self.by_place.setdefault(place_of(spec["cell"]), []).append(spec)
            self.by_key[spec["key"]] = spec

    def why_stale(self, cell: Cell) -> str:
        """Return what differs from the most similar cell in the store; "" if there is none.

        Cells that are given are like no other.
        """
        if cell.given:
            return ""
        mine = json.loads(cell.canonical)
        others = [s["cell"] for s in self.by_place.get(place_of(mine), []) if s["key"] != cell.key]
        found = [_differences(other, mine) for other in others]
        return ", ".join(min(found, key=lambda lines: len(list(lines)))) if found else ""

    def changed_files(self, cell: Cell) -> list[str]:
        """Return plug-in files that changed since a cell was trained, at the same version."""
        then = self.by_key.get(cell.key, {}).get("sources", {})
        return [name for name, now in cell.sources().items() if then.get(name, now) != now]


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Return "path old -> new" for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in _differences(old.get(key), new.get(key), f"{path}.{key}".strip("."))
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in _differences(a, b, f"{path}[{i}]")]
    if old == new:
        return []
    then, now = ("unset" if value is None else value for value in (old, new))
    return [f"{path} {then} -> {now}"]
