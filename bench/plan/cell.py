"""A cell: a frozen value whose key is a hash of all that can change its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from bench import plugins
from bench.contracts.dataset import DOMAINS, Dataset
from bench.maths.seed import derive
from bench.plan.suite import Budget

ENGINE = 1  # raise it when the training loop's own numbers change

Json = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One plug-in as a cell uses it: name, version, every parameter.

    `images` and `path` are no part of a cell's key: the one follows from the fingerprint, and the
    other is a matter of this machine.
    """

    name: str
    version: int | str
    params: Mapping[str, Any] = field(hash=False)  # a mapping has no hash; it does compare
    fingerprint: str = ""  # of a data set
    images: Mapping[str, int] = field(default_factory=dict, hash=False)  # how many: "trainA" -> 400
    path: str = ""  # where a data set lies on this machine

    @property
    def short(self) -> str:
        """The name without the module of a user's own plug-in."""
        return self.name.rpartition(":")[2]


def part_of(kind: str, name: str, given: Mapping[str, Any], where: str) -> Part:
    """Return a plug-in with its defaults overlaid by `given`.

    Raises:
        SuiteError: no such plug-in, or no such parameter; `where` heads the message.
    """
    declared = plugins.declared(kind, name, where)
    return Part(name, declared.version, declared.params(given, where))


@dataclass(frozen=True)
class Nets:
    """The networks of one player."""

    architecture: Part
    width: int  # base channels of the generator
    discriminator: Part
    discriminator_width: int


@dataclass(frozen=True)
class Cell:
    """One training run: everything that can change its numbers, and nothing else."""

    task: Part
    dataset: Part
    size: int  # image side in pixels
    nets: Nets
    methods: tuple[Part, ...]  # their terms are added
    seed: int
    budget: Budget
    select: Mapping[str, Any]  # {} is the last checkpoint
    numerics: Mapping[str, Any]
    teacher: str = ""  # key of a trained cell
    mentor: Nets | None = None  # a teacher that trains along
    peers: int = 1  # students that teach each other
    snapshots: int = 0  # generators kept at even distances over the budget
    engine: int = ENGINE

    @cached_property
    def canonical(self) -> str:
        """Return the cell as JSON text, without places on this machine."""
        return json.dumps(self, default=_plain, sort_keys=True, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """Return 12 hex digits; equal keys mean equal runs, on any machine."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:12]

    @property
    def method(self) -> str:
        """The methods' names as one."""
        return "+".join(part.name for part in self.methods)

    @property
    def images_per_epoch(self) -> int:
        """How many images an epoch has: those of the larger training domain."""
        return max(self.dataset.images[f"train{domain}"] for domain in DOMAINS)

    @property
    def batches(self) -> str:
        """Cells with equal text see the same batches, and can advance in one cohort."""
        budget = self.budget
        data = self.dataset
        order: list[Any] = [data.name, data.fingerprint, data.version, self.task.name]
        order += [self.size, self.seed, budget.batch, budget.steps, budget.epochs]
        return json.dumps([*order, without_path(data.params), self.numerics])

    def sources(self) -> dict[str, str]:
        """Return plug-in -> hash of its file, to notice edits that raised no version."""
        players = [nets for nets in (self.nets, self.mentor) if nets]
        parts = [
            ("task", self.task),
            ("dataset", self.dataset),
            *(("network", nets.architecture) for nets in players),
            *(("network", nets.discriminator) for nets in players),
            *(("method", part) for part in self.methods),
        ]
        return {f"{kind} {p.name}": plugins.source_hash(kind, p.name) for kind, p in parts}

    def seed_for(self, purpose: str, *more: object) -> int:
        """Return a seed that depends on what `purpose` may depend on, and on no other axis.

        Methods compared at one seed thus start from the same student and see the same batches
        and the same noise, so that their difference can be tested as a pair.
        """
        axes = {
            "batches": (self.dataset.name, self.size),
            "noise": (self.dataset.name, self.size),
            "networks": (self.task.name,),
            "adapters": (self.method,),
        }[purpose]
        return derive(purpose, *axes, self.seed, *more)


def _plain(value: Any) -> Json:
    """Return a dataclass or model as JSON values, without what is no part of a key."""
    if isinstance(value, Budget):
        return value.model_dump()
    found = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Part):
        if value.fingerprint:  # a data set
            found["params"] = without_path(value.params)
        del found["path"], found["images"]
    return found


def without_path(params: Mapping[str, Any]) -> Json:
    """Return parameters without the place on this machine."""
    return {name: value for name, value in params.items() if name != "path"}


def open_dataset(part: Part) -> Dataset:
    """Return a cell's data set."""
    found: Dataset = plugins.load("dataset", part.name, part.path or part.name)(part.params)
    return found
