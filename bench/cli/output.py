"""What is printed: JSON that any reader takes, that something is at work, the unforeseen."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import traceback
from collections.abc import Iterator
from typing import Any

import click


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Say in a terminal, from now to the end of a block, what is being done; elsewhere nothing."""
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def json_text(value: Any) -> str:
    """Return a value as JSON text: NaN as null, infinities as texts."""
    return json.dumps(_plain(value), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(x) for name, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def tell(error: Exception) -> None:
    """Say in one line what nobody foresaw, and keep its traceback in a file."""
    text = "".join(traceback.format_exception(error))
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="distillbench-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        said += f" (traceback in {file.name})"
    except OSError:
        said += f"\n{text}"
    click.echo(f"distillbench: unexpected: {said}", err=True)
