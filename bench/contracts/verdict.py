"""The verdict that a student did not train: a fact of its cell, which reports respect.

A run may end without an error and still have learnt too little for its scores to say anything of
its method. Only whoever trains it can tell: a method, or the task, then states a fact `untrained`,
the reason and what it would have taken. Reports call such a cell `not trained`, where the suite
asks for scores of images; these are shown apart, in a table and hollow in a figure, and rank
nothing: no mean of students that trained, no bold type, no test, no rank holds them. Cells without
the fact are judged by their status alone: so are those of stores from before it existed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

NOT_TRAINED = "not trained"  # in place of `done`, in the rows that reports read
FACT = "untrained"


def why_untrained(facts: object) -> str:
    """Return the reasons that the facts of a cell hold, direction -> method -> facts; "" if none.

    Facts may have come from elsewhere, so they may be anything.
    """
    return "; ".join(dict.fromkeys(_reasons(facts)))


def _reasons(facts: object) -> Iterator[str]:
    for of_direction in _values(facts):
        for known in _values(of_direction):
            reason = known.get(FACT) if isinstance(known, Mapping) else None
            if isinstance(reason, str) and reason:
                yield reason


def _values(found: object) -> Iterator[object]:
    if isinstance(found, Mapping):
        yield from found.values()
