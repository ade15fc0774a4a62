"""A suite file is read strictly: every key is known, every value has its type, or one line says so.

A suite is a question as YAML: methods x data sets x architectures x widths x seeds, under one
budget and one protocol. Its leading comment is the question itself and heads the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    WrapValidator,
    model_validator,
)

from bench.contracts.kinds import METRIC
from bench.contracts.metric import PRESETS
from bench.contracts.width import Width
from bench.errors import SuiteError
from bench.plan.explain import explain
from bench.plan.yaml import parse

AXES = ("dataset", "architecture", "method", "width", "discriminator_width", "seed")

UNITS = {"steps": "epochs", "epochs": "steps"}  # of a budget, which has one

Natural = Annotated[int, Field(ge=0, lt=2**63)]
Steps = Annotated[int, Field(gt=0, le=10**12)]
Images = Annotated[int, Field(gt=0, le=10**6)]  # of a batch
Pixels = Annotated[int, Field(gt=0, le=2**16)]  # of a side
Channels = Annotated[int, Field(gt=0, le=2**16)]
Times = Annotated[int, Field(gt=0, le=10**6)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _row(value: Any) -> Any:
    """Read `[a, b]` as `{a: {}, b: {}}`, and `{a: null}` as `{a: {}}`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("names one entry twice")
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


def _unique(value: Any) -> Any:
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


Rows = Annotated[dict[str, dict[str, Any]], BeforeValidator(_row), Field(min_length=1)]
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


Files = str | dict[str, str]  # a file, or one by direction of the task
GivenWidth = Annotated[Channels, WrapValidator(_width), PlainSerializer(_as_it_is)]  # a `Width`
Widths = Annotated[list[GivenWidth], Field(min_length=1), BeforeValidator(_unique)]
JudgeWidths = Annotated[list[Channels], Field(min_length=1), BeforeValidator(_unique)]
Seeds = Annotated[list[Natural], Field(min_length=1), BeforeValidator(_unique)]


class Model(BaseModel):
    """Strict: unknown keys are errors, values are not guessed at, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


INHERITED = (
    "batch",
    "lr",
    "decay",
    "to_zero",
    "warmup",
)  # by a budget that states only what differs


class Budget(Model):
    """How long one network trains: `steps` or `epochs`, of `batch` images."""

    steps: Steps | None = None
    epochs: Steps | None = None
    batch: Images = 1
    lr: Rate = 2e-4
    decay: Annotated[float, Field(ge=0, le=1)] = 0.5  # last part, in which lr falls linearly
    to_zero: bool = False  # whether lr is 0 in the last epoch or step, as in WKD's logs
    warmup: Natural = 0  # first steps, in which lr rises linearly

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class StageBudget(Model):
    """What differs in one stage of a task that has several."""

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
    students: Steps


class DeeperTeacher(Model):
    """A second online teacher, judged by the discriminators of the first, or by part of them."""

    architecture: str
    width: GivenWidth
    shared: Natural  # convolutions of a discriminator, from the image on, that judge both teachers


class Teacher(Model):
    """Whom the students learn from; the mode is each method's own unless stated."""

    width: GivenWidth
    architecture: str | None = None  # default: the student's
    discriminator_width: Channels | None = None  # default: the largest of the suite
    seed: Natural = 0
    budget: Budget | None = None  # of each stage; default: the students', stage by stage
    mode: Literal["frozen", "online", "same", "assistant", "peers"] | None = None
    assistant_width: GivenWidth | None = None
    peers: Annotated[int, Field(ge=2, le=100)] = 2
    alternation: Alternation | None = None  # default: all move at every step
    deeper: DeeperTeacher | None = None
    weights: Files | None = None  # of a teacher that exists already: it is not trained
    discriminator: Files | None = None  # its judge's weights, for methods that ask it

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

    best_on_val: str | None = None  # a metric; the test split never chooses
    times: Times = 10  # how often, evenly over the budget

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

    times: Times = 10  # how often, evenly over the budget; the last is the result
    metrics: Rows  # by which they are scored


class Tune(Model):
    """How each method's weight is chosen: by as many trials as every other method has."""

    trials: Annotated[int, Field(ge=2, le=100)]  # of each method, at each place of the matrix
    by: str  # a metric of images
    on: Literal["val"] = "val"  # the test split never chooses
    seeds: Seeds  # of the trials alone
    scale: Annotated[list[Rate], BeforeValidator(_unique)] | None = None
    """What weights are multiplied by; default: the powers of ten around 1."""

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
    datasets: Rows
    architectures: Rows
    methods: Rows
    widths: Widths
    discriminator_widths: JudgeWidths = [64]  # where a task has an adversary
    seeds: Seeds
    size: Pixels | None = None  # image side in pixels; default: each data set's own
    budget: Budget
    stages: dict[str, StageBudget] = {}  # of a task with several, what differs from the budget
    teacher: Teacher | None = None
    tune: Tune | None = None
    task: dict[str, Any] = {}  # what differs from the task's own losses and weights
    outputs: dict[str, Any] = {}  # how test outputs are made, where the task leaves a choice
    select: Select = Select()
    snapshots: Snapshots | None = None
    metrics: Metrics
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    compile: bool = False

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
        return {n: x for n, x in found.items() if n not in ("stages", "outputs", "tune") or x}

    @property
    def path(self) -> Path:
        """Where the suite was read from."""
        return self._path

    @property
    def question(self) -> str:
        """The comment that heads the file."""
        return self._question


def load(path: Path, overrides: Iterable[str] = ()) -> Suite:
    """Read a suite file and lay `key.path=value` overrides over it.

    Raises:
        SuiteError: the file cannot be read or a key or value is wrong; one line per fault.
    """
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
            below = _row(node.get(key) or {})
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
