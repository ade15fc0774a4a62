"""A cell: a frozen value whose key is a hash of all that can change its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.contracts.dataset import DOMAINS, Dataset
from bench.contracts.width import Width
from bench.maths.seed import derive
from bench.plan.identity import identity_of_text
from bench.plan.suite import Alternation, Budget
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller
    from bench.contracts.network import Network
    from bench.contracts.task import Task

ORDER = 0  # seed of the batches that all seeds share
ENGINE = 1  # raise it when the training loop's own numbers change

Json = dict[str, Any]


@dataclass(frozen=True)
class Nets:
    """The networks of one player."""

    architecture: Part[Network]
    width: Width  # base channels of the generator
    discriminator: Part[Network] | None = None  # where the task has an adversary
    discriminator_width: int = 0


@dataclass(frozen=True)
class Deeper:
    """A second teacher that trains along, and how much of the first one's judges it shares."""

    nets: Nets
    shared: int  # convolutions of a discriminator, from the image on


@dataclass(frozen=True)
class Latents:
    """What takes the place of images: codes of an autoencoder."""

    autoencoder: Cell  # the cell that trains it; or, with a file, what it would be
    file: str = ""  # its weights on this machine
    sha256: str = ""  # of that file

    @property
    def name(self) -> str:
        """What decides the weights, on any machine."""
        return self.sha256 or self.autoencoder.key

    @property
    def channels(self) -> int:
        """How many channels a code has."""
        return int(self.autoencoder.nets.architecture.params["channels"])

    @property
    def factor(self) -> int:
        """How many pixels wide a place of a code's grid is."""
        return 1 << len(self.autoencoder.nets.architecture.params["multiples"]) - 1


@dataclass(frozen=True)
class Given:
    """What stands in the place of training: files that someone else made."""

    kind: Literal["weights", "images"]
    sha256: Mapping[str, str]  # by what they are of, as in "generator.AtoB"; of images, "AtoB"
    files: Mapping[str, str]  # the same -> its place on this machine: not keyed

    @property
    def said(self) -> str:
        """What was given, as a person would say it."""
        last = 1 if self.kind == "weights" else 2  # parts of a path
        named = [
            ("/".join(Path(place).parts[-last:]), self.sha256[name])
            for name, place in self.files.items()
        ]
        return ", ".join(f"{file} (sha256 {sha256[:12]})" for file, sha256 in dict.fromkeys(named))

    @property
    def origin(self) -> str:
        """What was given, with its kind, and what nobody here knows of it."""
        unknown = "checkpoint and mode are" if self.kind == "images" else "choice of checkpoint is"
        return f"{self.kind} {self.said}, whose {unknown} not known"


@dataclass(frozen=True)
class Cell:
    """One training run: everything that can change its numbers, and nothing else."""

    task: Part[Task]
    dataset: Part[Dataset]
    size: int  # image side in pixels
    nets: Nets
    methods: tuple[Part[Distiller], ...]  # their terms are added
    seed: int
    budget: Budget
    select: Mapping[str, Any]  # {} is the last checkpoint
    numerics: Mapping[str, Any]
    teacher: str = ""  # key of a trained cell
    mentor: Nets | None = None  # a teacher that trains along
    peers: int = 1  # students that teach each other
    snapshots: int = 0  # generators kept at even distances over the budget
    engine: int = ENGINE
    later: tuple[Budget, ...] = ()  # of a task's second stage and those after it
    alternation: Alternation | None = None  # of the mentor and its students; None: all move at once
    deeper: Deeper | None = None  # a second mentor
    latents: Latents | None = None  # in the place of images
    given: Given | None = None  # in the place of training
    shared_batches: bool = False  # with all other seeds, which see those of `ORDER`
    outputs: Mapping[str, Any] = field(default_factory=dict)  # how test outputs are made: not keyed
    scored_on: str = "test"  # the split; "": it is not scored; not keyed

    @cached_property
    def canonical(self) -> str:
        """Return the cell as JSON text, without places on this machine."""
        return json.dumps(self, default=plain, sort_keys=True, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """Return 12 hex digits; equal keys mean equal runs, on any machine."""
        return identity_of_text(self.canonical)

    @property
    def method(self) -> str:
        """The methods' names as one."""
        return "+".join(part.name for part in self.methods)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budget of each stage."""
        return (self.budget, *self.later)

    @property
    def mentors(self) -> tuple[Nets, ...]:
        """The networks of each teacher that trains along."""
        return tuple(n for n in (self.mentor, self.deeper and self.deeper.nets) if n)

    @property
    def has_networks(self) -> bool:
        """Whether it is more than images; of those, `nets` only say beside whom they stand."""
        return self.given is None or self.given.kind != "images"

    @property
    def side(self) -> int:
        """Side of what the networks see: of images, or of the codes in their place."""
        return self.size // self.latents.factor if self.latents else self.size

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the cells that have to be trained before this one."""
        trained = self.latents and not self.latents.file and self.latents.autoencoder.key
        return tuple(key for key in (self.teacher, trained) if key)

    @property
    def images_per_epoch(self) -> int:
        """How many images an epoch has: those of the larger training domain."""
        return max(self.dataset.images[f"train{domain}"] for domain in DOMAINS)

    @cached_property
    def batches(self) -> str:
        """Cells with equal text see the same batches, and can advance in one cohort."""
        data, params = self.dataset, self.task.params
        order: list[Any] = [data.name, data.fingerprint, data.version, self.task.name]
        order += [self.size, self._order, [params[name] for name in self.task.declared.drawn_by]]
        order += [[b.batch, b.steps, b.epochs] for b in self.budgets]
        order += [self.alternation.model_dump()] if self.alternation else []
        order += [self.latents.name] if self.latents else []
        return json.dumps([*order, without_path(data.params), self.numerics])

    def spec(self, environment: Mapping[str, Any]) -> Json:
        """Return what a store says of the cell, and of where it comes to be."""
        told = {"key": self.key, "cell": json.loads(self.canonical), "sources": self.sources()}
        return {**told, "images": self.dataset.images, **environment}

    def sources(self) -> dict[str, str]:
        """Return plug-in -> hash of its file, to notice edits that raised no version."""
        parts: list[Part[Any]] = [self.task, self.dataset, *self.methods]
        encoding = [self.latents.autoencoder.nets] if self.latents else []
        for nets in (self.nets, *self.mentors, *encoding) if self.has_networks else ():
            parts += [nets.architecture, *([nets.discriminator] if nets.discriminator else [])]
        return {f"{part.kind.name} {part.name}": part.source_hash() for part in parts}

    @property
    def _order(self) -> int:
        """The seed of the batches."""
        return ORDER if self.shared_batches else self.seed

    def seed_for(self, purpose: str, *more: object) -> int:
        """Return a seed that depends on what `purpose` may depend on, and on no other axis.

        Methods compared at one seed thus start from the same student and see the same batches
        and the same noise, so that their difference can be tested as a pair. With shared batches
        all seeds see those of one, and differ in all else.
        """
        axes = {
            "batches": (self.dataset.name, self.size),
            "noise": (self.dataset.name, self.size),
            "networks": (self.task.name,),
            "adapters": (self.method,),
        }[purpose]
        seed = self._order if purpose == "batches" else self.seed
        return derive(purpose, *axes, seed, *more)


NUMERICS = {"precision": "fp32", "channels_last": False, "compile": False}
"""In the keys of all cells: of a suite as it says, of judges these."""
SOME = ("later", "alternation", "deeper", "latents", "given", "shared_batches")
"""In the keys of cells that have them."""
KEYED = [f.name for f in fields(Cell) if f.name not in (*SOME, "outputs", "scored_on")]
HOW = ("seed", "budget", "select", "teacher", "mentor", "peers", "snapshots", "engine")
"""How a cell trains: not in the keys of cells that are given, whose scores stand in one column
with those of cells that select all the same."""
SELDOM = ("to_zero", "warmup")  # of a budget, left out where they say nothing
ALONE = ("architecture", "width")  # of networks without an adversary


def plain(value: Any) -> Json:
    """Return a dataclass or model as JSON values, without what is no part of a key.

    Neither is what only some cells have, in one that does without it: an adversary, stages after
    the first, a learning rate that ends at 0 or has to rise first, turns of teacher and students, a
    second mentor, latents, files in the place of training, batches that seeds share.
    """
    if isinstance(value, Alternation):
        return value.model_dump()
    if isinstance(value, Budget):
        return {n: x for n, x in value.model_dump().items() if n not in SELDOM or x}
    if isinstance(value, Part):
        is_dataset = bool(value.fingerprint)
        params = without_path(value.params) if is_dataset else value.params
        found = {"name": value.name, "version": value.version, "params": params}
        return found | {"fingerprint": value.fingerprint}
    if isinstance(value, Nets):
        names = [f.name for f in fields(Nets)] if value.discriminator else ALONE
        return {name: getattr(value, name) for name in names}
    if isinstance(value, Latents):
        nets = {"nets": value.autoencoder.nets} if value.file else {}
        return {"autoencoder": value.name, **nets}
    if isinstance(value, Deeper):
        return {"nets": value.nets, "shared": value.shared}
    if isinstance(value, Given):
        return {"kind": value.kind, "sha256": dict(value.sha256)}
    has = [name for name in SOME if getattr(value, name)]
    left_out = [*(HOW if value.given else ()), *(() if value.has_networks else ("nets",))]
    return {n: getattr(value, n) for n in (*KEYED, *has) if n not in left_out}


def without_path(params: Mapping[str, Any]) -> Json:
    """Return parameters without the place on this machine."""
    return {name: value for name, value in params.items() if name != "path"}


def real_split(task: type[Task], scored_on: str) -> str:
    """Return the split whose images are what outputs of a split are held against."""
    return scored_on if task.real == "test" else task.real


def splits_of(task: type[Task]) -> list[str]:
    """Return the splits that training and scoring read, without the validation split."""
    starts = ["test"] if any(source for source, _ in task.directions.values()) else []
    return list(dict.fromkeys(["train", task.real, *starts]))


def open_dataset(part: Part[Dataset]) -> Dataset:
    """Return a cell's data set."""
    return part.load()(part.params)
