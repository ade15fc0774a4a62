"""Whose weights a cell learnt from, and whether its teacher still has them.

A key says how a teacher is made and not which weights come out: one that is trained anew, on a GPU
of another kind say, has others under the same key. What learnt from it before had another teacher
than the one that stands beside it in every table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.plan.identity import is_identity
from bench.store.layout import Json, Store

SHOWN = 5  # cells that a sentence names


class Lineage:
    """What the cells of a store learnt from; each teacher is looked up once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: dict[str, str] = {}

    def lost_teacher(self, spec: Json) -> str:
        """Return the key of a teacher that had other weights when a cell learnt from it, or "".

        That is "" too where the teacher has none now, and where the cell was trained before its
        spec said what it learnt from.
        """
        taught_by = spec.get("taught_by")
        for teacher, then in taught_by.items() if isinstance(taught_by, dict) else ():
            if then and is_identity(teacher) and self._now(teacher) not in ("", then):
                return str(teacher)
        return ""

    def _now(self, teacher: str) -> str:
        """Return the digest of a teacher's weights, "" where it has none."""
        if teacher not in self._weights:
            self._weights[teacher] = self._store.read(teacher, "end.json").get("weights", "")
        return self._weights[teacher]


def strangers(store: Store, keys: Iterable[str]) -> list[str]:
    """Return which of some cells are done, and learnt from weights that their teacher has lost."""
    lineage = Lineage(store)
    learnt_otherwise = (k for k in keys if lineage.lost_teacher(store.read(k, "spec.json")))
    return [key for key in learnt_otherwise if store.state(key).status == "done"]


def remark(teacher: str) -> str:
    """Return what a person should know of a cell whose teacher has lost those weights; "" if ""."""
    return teacher and f"learnt from other weights of its teacher {teacher} than it has now"


def caveat(keys: Sequence[str]) -> str:
    """Return what a person should know of numbers that such cells are among."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    cells = f"{len(keys)} cell{'s' * (len(keys) > 1)}"
    first = f"{', '.join(keys[:SHOWN])}{more}"
    return f"{cells} learnt from a teacher that has other weights now: {first}."
