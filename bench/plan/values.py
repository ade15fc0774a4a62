"""What the values of a suite's keys may be: numbers in ranges, rows, widths, lists of seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WrapValidator

from bench.contracts.kinds import METRIC
from bench.contracts.metric import PRESETS
from bench.contracts.width import Width

Natural = Annotated[int, Field(ge=0, lt=2**63)]
Steps = Annotated[int, Field(gt=0, le=10**12)]
Images = Annotated[int, Field(gt=0, le=10**6)]  # of a batch
Pixels = Annotated[int, Field(gt=0, le=2**16)]  # of a side
Channels = Annotated[int, Field(gt=0, le=2**16)]
Times = Annotated[int, Field(gt=0, le=10**6)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Files = str | dict[str, str]  # a file, or one by direction of the task


def row(value: Any) -> Any:
    """Read `[a, b]` as `{a: {}, b: {}}`, and `{a: null}` as `{a: {}}`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("names one entry twice")
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


def unique(value: Any) -> Any:
    """Return a list as it is.

    Raises:
        ValueError: one value stands in it twice.
    """
    if isinstance(value, list) and len(set(map(str, value))) < len(value):
        raise ValueError("names one value twice")
    return value


def _preset(value: Any) -> Any:
    """Read the name of a preset as all metrics that declare themselves part of it."""
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"no preset {value!r}: give one of {', '.join(PRESETS)}, or a list")
    names = METRIC.names()
    return {n: {} for n in names if value in METRIC.declaration(n, n).says.presets}


SomeRows = Annotated[dict[str, dict[str, Any]], BeforeValidator(row)]
Rows = Annotated[SomeRows, Field(min_length=1)]
Metrics = Annotated[Rows, BeforeValidator(_preset)]


def _width(value: Any, one: Callable[[Any], int]) -> Width:
    """Read `[10, 20]` as one width of two numbers."""
    if not isinstance(value, (list, tuple)):
        return one(value)
    if len(value) < 2:
        raise ValueError("a width is one number, or a list of two or more")
    return tuple(one(number) for number in value)


def _as_it_is(width: Width) -> Any:
    return width


GivenWidth = Annotated[Channels, WrapValidator(_width), PlainSerializer(_as_it_is)]  # a `Width`
Widths = Annotated[list[GivenWidth], Field(min_length=1), BeforeValidator(unique)]
JudgeWidths = Annotated[list[Channels], Field(min_length=1), BeforeValidator(unique)]
Seeds = Annotated[list[Natural], Field(min_length=1), BeforeValidator(unique)]
