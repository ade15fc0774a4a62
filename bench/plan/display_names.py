"""How tables and figures call a suite's rows: by their `label`, which is no part of any key."""

from __future__ import annotations

from typing import Any

from bench.errors import SuiteError
from bench.plan.suite import Suite

LABEL = "label"  # key of a row of `datasets`, `architectures` or `methods`
LONGEST = 60  # characters


def labels_of(suite: Suite) -> dict[str, dict[str, str]]:
    """Return axis -> name -> label, of the rows that have one.

    Raises:
        SuiteError: a label is no text of one short line, or two rows would be called the same.
    """
    axes = {"dataset": "datasets", "architecture": "architectures", "method": "methods"}
    return {axis: _labels(suite, key) for axis, key in axes.items()}


def _labels(suite: Suite, key: str) -> dict[str, str]:
    rows: dict[str, dict[str, Any]] = getattr(suite, key)
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name, row in rows.items():
        label = row.get(LABEL, name)
        where = f"{suite.path}: {key}.{name}.{LABEL}"
        if LABEL in row and not _is_line(label):
            raise SuiteError(
                f"{where}: should be text on one line of at most {LONGEST} characters, "
                f"found {label!r}."
            )
        if label in taken:
            raise SuiteError(f"{where}: {key}.{taken[label]} is called {label!r} as well.")
        taken[label] = name
        if LABEL in row:
            found[name] = label
    return found


def _is_line(label: object) -> bool:
    return (
        isinstance(label, str)
        and label == " ".join(label.split())
        and label.isprintable()
        and 0 < len(label) <= LONGEST
    )
