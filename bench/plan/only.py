"""Which part of a suite is asked for: `--only axis=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.contracts.width import NOTHING, said_width
from bench.errors import SuiteError, unknown
from bench.plan.matrix import Entry
from bench.plan.suite import AXES, Suite


def is_chosen(entry: Entry, only: Mapping[str, Sequence[str]]) -> bool:
    """Say whether a place of the matrix is left by what was asked for.

    Images from elsewhere have no width, and stand beside any.
    """
    said = {axis: str(getattr(entry, axis)) for axis in AXES} | {"width": said_width(entry.width)}
    return all(said[axis] in (*values, NOTHING) for axis, values in only.items())


def parse_only(texts: Iterable[str], suite: Suite) -> dict[str, list[str]]:
    """Read `axis=value[,value]` texts into what `expand` takes.

    Raises:
        SuiteError: no such axis, or the suite has no such value on it.
    """
    known: dict[str, list[str]] = {
        "dataset": list(suite.datasets),
        "architecture": list(suite.architectures),
        "method": list(suite.methods),
        "width": [said_width(w) for w in suite.widths],
        "discriminator_width": [str(w) for w in suite.discriminator_widths],
        "seed": [str(s) for s in suite.seeds],
    }
    only: dict[str, list[str]] = {}
    for text in texts:
        axis, equals, values = text.partition("=")
        if not equals or axis not in AXES:
            raise SuiteError(unknown("axis", axis, AXES, f"--only {text}"))
        for value in values.split(","):
            if value not in known[axis]:
                raise SuiteError(unknown(axis, value, known[axis], f"--only {text}"))
            only.setdefault(axis, []).append(value)
    return only


def said(only: Mapping[str, Sequence[str]]) -> str:
    """Return what was asked for as text."""
    return " ".join(f"{axis}={','.join(values)}" for axis, values in only.items())
