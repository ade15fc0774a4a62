"""A question is a line and a function that raises where the answer is no."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import AbsentData, DistillbenchError, WeightsError
from bench.plugins.registry import Part


@dataclass(frozen=True)
class Question:
    """What a contract asks of a plug-in."""

    said: str  # what is so where the answer is yes
    ask: Callable[[], None]


class Broken(Exception):  # noqa: N818 - an answer
    """The answer is no, and why."""


class Unasked(Exception):  # noqa: N818 - an answer
    """A question that has no meaning here, or that nobody can answer on this machine."""


def require(holds: bool, otherwise: str) -> None:
    """Answer no where something does not hold.

    Raises:
        Broken: `otherwise`.
    """
    if not holds:
        raise Broken(otherwise)


def answer(question: Question, file: Path) -> tuple[str, str]:
    """Ask a question; return "ok", "FAILED" or "unasked", and the reason.

    Args:
        question: what to ask.
        file: of the plug-in, whose line is said where it raises.
    """
    try:
        question.ask()
    except (Unasked, AbsentData, WeightsError) as why:
        return "unasked", str(why)
    except (Broken, DistillbenchError) as why:
        return "FAILED", str(why)
    except Exception as error:  # whatever a user's own code does
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).resolve() == file.resolve()
        ]
        where = f" ({file}:{lines[-1]})" if lines else ""
        return "FAILED", f"{type(error).__name__}: {error}{where}"
    return "ok", ""


def declaration_questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked of a plug-in of any kind: what it says of itself."""
    told = part.kind.declaration(part.name, part.name)

    def is_told() -> None:
        require(bool(told.summary), "its docstring has no first line.")
        for field in ("source", "licence", "label"):
            if field in told.fields:
                require(bool(told.fields[field]), f"it declares no {field}.")

    def is_read() -> None:
        cls = part.load()
        for field, value in told.fields.items():
            same = getattr(cls, field) == value
            require(same, f"{field} is read as {value!r} and is {getattr(cls, field)!r}.")

    yield Question("it says what it is and where it is from", is_told)
    yield Question("what planning reads off its text is what the class says", is_read)
