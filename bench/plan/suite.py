"""A suite file is read strictly: every key is known, every value has its type, or one line says so.

A suite is a question as YAML: methods x data sets x architectures x widths x seeds, under one
budget and one protocol. Its leading comment is the question itself and heads the report.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from bench.contracts.kinds import look_beside
from bench.errors import SuiteError
from bench.plan import shelf
from bench.plan.explain import explain
from bench.plan.values import (
    Channels,
    Files,
    GivenWidth,
    Images,
    JudgeWidths,
    Metrics,
    Natural,
    Pixels,
    Rate,
    Rows,
    Seeds,
    SomeRows,
    Steps,
    Times,
    Widths,
    row,
    unique,
)
from bench.plan.yaml import parse

AXES = ("dataset", "architecture", "method", "width", "discriminator_width", "seed")
RARE = ("stages", "outputs", "tune", "reports", "plugins", "batches")  # keys that few suites have
UNITS = {"steps": "epochs", "epochs": "steps"}  # of a budget, which has one


class Model(BaseModel):
    """Strict: unknown keys are errors, values are not guessed at, nothing changes later.

    What a key means is the text below it; the site's reference of suites is made from these.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


INHERITED = ("batch", "lr", "decay", "to_zero", "warmup")  # by a budget that says what differs


class Budget(Model):
    """How long one network trains: `steps` or `epochs`, of `batch` images."""

    steps: Steps | None = None
    """How many times each network is moved."""
    epochs: Steps | None = None
    """Or how many passes over the training images."""
    batch: Images = 1
    """Images of a step."""
    lr: Rate = 2e-4
    """The optimiser's learning rate."""
    decay: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Last part of the budget, in which `lr` falls linearly."""
    to_zero: bool = False
    """Whether `lr` is 0 in the last epoch or step, as in WKD's logs."""
    warmup: Natural = 0
    """First steps, in which `lr` rises linearly."""

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class StageBudget(Model):
    """What differs in one stage of a task that has several; keys mean what they do in a budget."""

    steps: Steps | None = None
    epochs: Steps | None = None
    batch: Images | None = None
    lr: Rate | None = None
    decay: Annotated[float, Field(ge=0, le=1)] | None = None
    to_zero: bool | None = None
    warmup: Natural | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give either steps or epochs")
        return self

    def over(self, budget: Budget) -> Budget:
        """Return a budget with what this one says instead."""
        given = self.model_dump(exclude_none=True)
        unit = {UNITS[name]: None for name in given if name in UNITS}
        return budget.model_copy(update=given | unit)


class Alternation(Model):
    """An online teacher and its students move in turns of so many steps or epochs, as the budget.

    The budget is the teacher's; after each of its turns, the last and shorter one included, comes a
    turn of the students.
    """

    teacher: Steps
    """Length of a turn of the teacher."""
    students: Steps
    """Length of a turn of the students."""


class DeeperTeacher(Model):
    """A second online teacher, judged by the discriminators of the first, or by part of them."""

    architecture: str
    """A row of `architectures`, or a file in `bench/nets/`."""
    width: GivenWidth
    """Base channels."""
    shared: Natural
    """Convolutions of a discriminator, from the image on, that judge both teachers."""


class Teacher(Model):
    """Whom the students learn from; the mode is each method's own unless stated."""

    width: GivenWidth
    """Base channels of its generator; several numbers where an architecture has several."""
    architecture: str | None = None
    """A row of `architectures`, or a file in `bench/nets/`; default: the student's."""
    discriminator_width: Channels | None = None
    """Base channels of its discriminator; default: the largest of the suite."""
    seed: Natural = 0
    """Of its training; all students learn from this one teacher."""
    budget: Budget | None = None
    """What differs from the students' budget, in each stage; default: nothing, stage by stage."""
    mode: Literal["frozen", "online", "same", "assistant", "peers"] | None = None
    """What it is, where a method accepts several kinds; default: the method's first."""
    assistant_width: GivenWidth | None = None
    """Base channels of the one between teacher and student, in mode `assistant`."""
    peers: Annotated[int, Field(ge=2, le=100)] = 2
    """How many students teach each other, in mode `peers`."""
    alternation: Alternation | None = None
    """Turns, in mode `online`; default: all move at every step."""
    deeper: DeeperTeacher | None = None
    """A second teacher, in mode `online`."""
    weights: Files | None = None
    """Of a teacher that exists already and is not trained: a file, or one by direction."""
    discriminator: Files | None = None
    """Its discriminator's weights, in the same way, for methods that ask it."""

    @model_validator(mode="after")
    def _assistant(self) -> Self:
        if self.mode == "assistant" and self.assistant_width is None:
            raise ValueError("mode assistant needs assistant_width")
        return self

    @model_validator(mode="after")
    def _from_files(self) -> Self:
        if self.discriminator is not None and self.weights is None:
            raise ValueError("discriminator is a file beside `weights`; give both or neither")
        for name in ("budget", "alternation", "deeper") if self.weights is not None else ():
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is for a teacher that trains; with `weights` none does")
        return self


SELDOM = ("alternation", "deeper", "weights", "discriminator")  # of a teacher: told where stated


class Select(Model):
    """Which checkpoint is evaluated: the last, or the best by a metric on the validation split."""

    best_on_val: str | None = None
    """The metric that chooses, on the validation split; the test split never does."""
    times: Times = 10
    """How often it is asked, evenly over the budget."""

    @model_validator(mode="before")
    @classmethod
    def _last(cls, value: Any) -> Any:
        if value == "last":
            return {}
        if value == "best_on_val":
            raise ValueError("say by which metric, as in select: {best_on_val: psnr}")
        return value


class Snapshots(Model):
    """Generators kept while they train, to see what choosing a checkpoint by the test set does."""

    times: Times = 10
    """How often, evenly over the budget; the last is the result."""
    metrics: Rows
    """By which they are scored."""


class Tune(Model):
    """How each method's weight is chosen: by as many trials as every other method has."""

    trials: Annotated[int, Field(ge=2, le=100)]
    """How many, of each method, at each place of the matrix."""
    by: str
    """The metric of images that chooses."""
    on: Literal["val"] = "val"
    """The split on which it chooses; the test split never does."""
    seeds: Seeds
    """Of the trials alone: none of the suite's own."""
    scale: Annotated[list[Rate], BeforeValidator(unique)] | None = None
    """What weights are multiplied by, one each; default: the powers of ten around 1."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if self.scale is not None and len(self.scale) != self.trials:
            raise ValueError(f"{self.trials} trials, but scale has {len(self.scale)} values")
        return self

    @property
    def scales(self) -> list[float]:
        """What weights are multiplied by, as many as there are trials."""
        least = -(self.trials // 2)
        return self.scale or [10.0**n for n in range(least, least + self.trials)]


class Suite(Model):
    """One question: a matrix of cells and the protocol they are judged by."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """Of the suite: its report lies in `report/NAME`."""
    datasets: Rows
    """Rows, each a file in `bench/data/` or `dataset: module:Class`, with its parameters; with a
    `label` tables call it that, as they do networks and methods."""
    architectures: Rows
    """Rows, each a file in `bench/nets/` or `architecture: module:Class`, with its parameters."""
    methods: Rows
    """Rows, each a file in `baselines/` or `method: module:Class`, with its parameters; `a+b` adds
    the terms of both. A row may have a `teacher` and, with `tune`, a grid of its own; with
    `weights` or `images` it is someone else's files, which are scored and not trained."""
    widths: Widths
    """Base channels of the students; several numbers each where an architecture has several."""
    discriminator_widths: JudgeWidths = [64]
    """Base channels of the students' discriminators, where a task has an adversary."""
    seeds: Seeds
    """One run of every method at each. At one seed all methods start alike and see the same."""
    batches: Literal["own", "shared"] = "own"
    """Whether each seed has an order of batches, crops and draws of its `own`, or all students see
    one, `shared`: cheaper, with a spread over initial weights and noise only. Part of the key."""
    size: Pixels | None = None
    """Image side in pixels; default: each data set's own."""
    budget: Budget
    """How long the students train."""
    stages: dict[str, StageBudget] = {}
    """Of a task with several: what differs from the budget, stage by stage."""
    teacher: Teacher | None = None
    """Whom the students learn from; methods without one need none."""
    tune: Tune | None = None
    """Trials that choose each method's weight before the matrix is run; default: none."""
    task: dict[str, Any] = {}
    """What differs from the task's own losses and weights, as in `{gan: hinge}`."""
    outputs: dict[str, Any] = {}
    """How test outputs are made, where the task leaves a choice; part of each score's protocol."""
    select: Select = Select()
    """Which checkpoint is scored: `last`, the default, or as in `{best_on_val: psnr}`."""
    snapshots: Snapshots | None = None
    """Generators kept on the way, and scored beside the last; default: none."""
    metrics: Metrics
    """Files in `bench/metrics/` or `module:Class`, each with its parameters; or the name of a
    preset: `paper`, `modern` or `offline`."""
    reports: SomeRows = {}
    """Reports beside ours: `module:Class` or names of plug-ins, each with its parameters."""
    plugins: list[str] = []
    """Folders of plug-ins of any kind, relative to the suite's file."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Of training; on a GPU the others are faster. Part of a cell's key."""
    channels_last: bool = False
    """Whether images lie in memory with channels last, which some GPUs like. Part of the key."""
    compile: bool = False
    """Whether `torch.compile` makes the networks faster, after a while. Part of the key."""

    _path: Path = PrivateAttr(default=Path("suite"))
    _question: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _seeds_apart(self) -> Self:
        if self.tune and (both := set(self.seeds) & set(self.tune.seeds)):
            raise ValueError(f"tune.seeds: {min(both)} is one of the suite's own seeds")
        return self

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Let the teacher's budget state only what differs from the students'."""
        if isinstance(data, dict):
            budget, teacher = data.get("budget"), data.get("teacher")
            own = teacher.get("budget") if isinstance(teacher, dict) else None
            if isinstance(budget, dict) and isinstance(own, dict) and isinstance(teacher, dict):
                given = {k: budget[k] for k in INHERITED if k in budget}
                data = {**data, "teacher": {**teacher, "budget": {**given, **own}}}
        return data

    @property
    def told(self) -> dict[str, Any]:
        """The suite as JSON values, without keys that only some suites have and this one lacks."""
        found: dict[str, Any] = json.loads(self.model_dump_json())
        if self.teacher:
            teacher = found["teacher"].items()
            found["teacher"] = {n: x for n, x in teacher if n not in SELDOM or x}
        fields = Suite.model_fields
        return {n: x for n, x in found.items() if n not in RARE or x != fields[n].default}

    @property
    def path(self) -> Path:
        """Where the suite was read from."""
        return self._path

    @property
    def question(self) -> str:
        """The comment that heads the file."""
        return self._question


def load(path: Path, overrides: Iterable[str] = ()) -> Suite:
    """Read a suite file, or ours of that name, and lay `key.path=value` overrides over it.

    From then on plug-ins are found where this suite has them.

    Raises:
        SuiteError: the file cannot be read or a key or value is wrong; one line per fault.
    """
    path = shelf.find(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: no text in UTF-8: {error.reason}.") from error
    data = parse(text, str(path))
    if not isinstance(data, dict):
        raise SuiteError(f"{path}: expected keys such as name, datasets and methods.")
    for override in overrides:
        data = _override(data, override)
    look_beside(path, data.get("plugins"))  # a value that is no list of names is refused below
    try:
        suite = Suite.model_validate(data)
    except ValidationError as error:
        raise SuiteError("\n".join(explain(error, str(path), Suite))) from error
    suite._path = path
    suite._question = _question(text)
    return suite


def _override(data: dict[str, Any], override: str) -> dict[str, Any]:
    """Return `data` with one `key.path=value` laid over it; a budget's other unit goes."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise SuiteError(f"--set {override}: expected key.path=value, as in budget.steps=50.")
    value = parse(text, f"--set {override}")
    keys = path.split(".")
    result = node = dict(data)
    for key in keys[:-1]:
        try:
            below = row(node.get(key) or {})
        except ValueError as error:
            raise SuiteError(f"--set {override}: {key} {error}.") from error
        if not isinstance(below, dict):
            raise SuiteError(f"--set {override}: {key} is {below!r} and has no keys below it.")
        node[key] = dict(below)
        node = node[key]
    node[keys[-1]] = value
    is_budget = keys[-2:-1] == ["budget"] or keys[-3:-2] == ["stages"]
    if is_budget and keys[-1] in UNITS:
        node.pop(UNITS[keys[-1]], None)
    return result


def _question(text: str) -> str:
    """Return the first paragraph of the leading comment of a suite file as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#") or line.strip() == "#":
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)
