"""Whose weights a cell learnt from, and whether that teacher still has them.

A key says how a teacher is made and not which weights come out: one that is trained anew, on a GPU
of another kind say, has others under the same key. What learnt from it before, or from an assistant
that did, had another teacher than the one that stands beside it in every table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from bench.errors import StoreError
from bench.plan.identity import is_identity
from bench.store.layout import Json, Store

SHOWN = 5  # cells that a sentence names


class Lineage:
    """What the cells of a store learnt from; each teacher is looked up once.

    It stops nobody: a file that cannot be read says nothing here.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: dict[str, str] = {}  # of teachers, as digests; "": there are none
        self._above: dict[str, str] = {}  # teacher -> which of its own teachers has changed

    def spec(self, key: str) -> Json:
        """Return the spec of a cell; {} where there is none that can be read."""
        return self._read(key, "spec.json")

    def changed_teacher(self, spec: Json) -> str:
        """Return the key of a teacher that had other weights when a cell learnt from it, or "".

        That may be its teacher's teacher. It is "" too where a teacher has no weights now, and
        where the cell was trained before specs said what was learnt from.
        """
        cell, taught_by = spec.get("cell"), spec.get("taught_by")
        teacher = str(cell.get("teacher")) if isinstance(cell, dict) else ""
        then = taught_by.get(teacher) if isinstance(taught_by, dict) else None
        if not (is_identity(teacher) and isinstance(then, str)):
            return ""
        if then and self._now(teacher) not in ("", then):
            return teacher
        if teacher not in self._above:
            self._above[teacher] = ""  # who is said to teach itself ends here
            self._above[teacher] = self.changed_teacher(self.spec(teacher))
        return self._above[teacher]

    def _now(self, teacher: str) -> str:
        if teacher not in self._weights:
            found = self._read(teacher, "end.json").get("weights")
            self._weights[teacher] = found if isinstance(found, str) else ""
        return self._weights[teacher]

    def _read(self, key: str, name: str) -> Json:
        with contextlib.suppress(StoreError):
            return self._store.read(key, name)
        return {}


def changed_teachers(store: Store, keys: Iterable[str]) -> dict[str, str]:
    """Return which of some cells have ended after learning from a teacher that has changed since.

    Returns:
        Key of such a cell -> of the teacher that has other weights now.
    """
    lineage, found = Lineage(store), {}
    for key in keys:
        teacher = lineage.changed_teacher(lineage.spec(key))
        with contextlib.suppress(StoreError):
            if teacher and store.state(key).status in ("done", "diverged"):
                found[key] = teacher
    return found


def remark(teacher: str) -> str:
    """Return what a person should know of a cell whose teacher has changed; "" where none has."""
    return f"learnt from other weights of teacher {teacher} than it has now" if teacher else ""


def caveat(keys: Sequence[str]) -> str:
    """Return what a person should know of a suite that has such cells."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    cells = f"{len(keys)} cell{'s' * (len(keys) > 1)} of this suite"
    first = f"{', '.join(keys[:SHOWN])}{more}"
    return f"{cells} learnt from a teacher that has other weights now: {first}."
