"""The form of what a store holds, against which files from elsewhere are held."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel

CELL_FILE = re.compile(
    r"(spec|end|scores)\.json|losses\.jsonl|images\.npz|log|(checkpoint|resume)\.safetensors"
    r"|snapshots/[0-9]{1,12}\.safetensors|samples/[\w-]{1,100}\.png"
    r"|made/[0-9a-f]{12}/[0-9]{1,12}-[0-9]{1,12}\.safetensors",
    re.ASCII,
)
"""The files of a cell's folder, of which `bench/store/layout.py` says what they are."""


class Pulls(BaseModel):
    """How strongly methods pulled at a step."""

    step: int
    pulls: dict[str, float | None]


class End(BaseModel):
    """What reports read of how a cell ended."""

    status: Literal["done", "failed", "diverged"]
    reason: str = ""
    step: int = 0
    seconds: float | None = None
    facts: dict[str, Any] = {}
    pulls: list[Pulls] = []
    environment: dict[str, Any] = {}
    nondeterministic: list[str] = []
    provenance: str = ""


class Score(BaseModel):
    """A score of images or of a network."""

    metric: str
    version: int | str
    params: dict[str, Any]
    unit: str
    better: str
    values: dict[str, float]
    errors: dict[str, float] = {}  # of scores since there are any
    reason: str
    protocol: dict[str, Any]
    scored_at: float


class Losses(BaseModel):
    """A record of the loss log."""

    step: int
    seconds: float = 0.0
    losses: dict[str, float]
