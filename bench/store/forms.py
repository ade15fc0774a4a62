"""The form of what a store holds, against which files from elsewhere are held."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag

CELL_FILE = re.compile(
    r"(spec|end|scores)\.json|losses\.jsonl|images\.npz|log|(checkpoint|resume)\.safetensors"
    r"|snapshots/[0-9]{1,12}\.safetensors|samples/[\w-]{1,100}\.png"
    r"|made/[0-9a-f]{12}/[0-9]{1,12}-[0-9]{1,12}\.safetensors",
    re.ASCII,
)
"""The files of a cell's folder, of which `bench/store/layout.py` says what they are."""


Key = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]


class Form(BaseModel):
    """Strict: a number written as text is none."""

    model_config = ConfigDict(strict=True)


class Named(Form):
    """A plug-in."""

    name: str


class Networks(Form):
    """Those of a cell."""

    architecture: Named
    width: int | list[int]
    discriminator_width: int = 0


class Batches(Form):
    """Of a budget."""

    batch: int


class Origin(Form):
    """What takes the place of training."""

    kind: str


class AnyCell(Form):
    """What is read of every cell."""

    dataset: Named
    methods: list[Named]


class GivenCell(AnyCell):
    """A cell that was not trained."""

    given: Origin


class TrainedCell(AnyCell):
    """A cell that trains: its place in a matrix, and what decides its time per step."""

    task: Named
    nets: Networks
    mentor: Networks | None
    size: int
    budget: Batches
    seed: int


def _kind_of(cell: object) -> str:
    return "given" if isinstance(cell, dict) and "given" in cell else "trained"


class Spec(Form):
    """What plans and estimates read of what a cell is, and of where it came to be."""

    key: str
    cell: Annotated[
        Annotated[GivenCell, Tag("given")] | Annotated[TrainedCell, Tag("trained")],
        Discriminator(_kind_of),
    ]
    sources: dict[str, str] = {}
    provenance: str = ""
    taught_by: dict[Key, Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")]] = {}
    """Key of the teacher -> digest of its weights then."""


class Pulls(Form):
    """How strongly methods pulled at a step."""

    step: int
    pulls: dict[str, float | None]


class End(Form):
    """What reports read of how a cell ended."""

    status: Literal["done", "failed", "diverged"]
    reason: str = ""
    step: int = 0
    seconds: FiniteFloat | None = None
    facts: dict[str, Any] = {}
    pulls: list[Pulls] = []
    environment: dict[str, Any] = {}
    nondeterministic: list[str] = []
    provenance: str = ""


class Score(Form):
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
    scored_at: FiniteFloat


class Losses(Form):
    """A record of the loss log."""

    step: int
    seconds: FiniteFloat = 0.0
    losses: dict[str, float]
