"""A suite becomes a plan: every row is checked, then multiplied out.

Imports no torch, so that a plan of ten thousand cells is there at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.dataset import DOMAINS, SPLITS, Dataset
from bench.contracts.kinds import DATASET, METHOD, METRIC, NETWORK, TASK
from bench.contracts.making import check_making
from bench.contracts.metric import Metric
from bench.contracts.width import Width, channels
from bench.errors import AbsentData, SuiteError, unknown
from bench.plan.cell import Cell, Deeper, Json, Nets
from bench.plan.matrix import Entry, Plan
from bench.plan.only import is_chosen, said
from bench.plan.scores import judges
from bench.plan.suite import Budget, Suite
from bench.plan.teaching import check_used, named, read_method
from bench.plan.unused_keys import check_keys, check_tasks
from bench.plugins.registry import Part, conform

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller
    from bench.contracts.network import Network
    from bench.contracts.task import Task

Elsewhere = Callable[[Suite, str, Part[Dataset], AbsentData], Part[Dataset]]
"""(suite, its name for a data set, that data set, what is missing) -> what it is elsewhere."""


def expand(
    suite: Suite,
    only: Mapping[str, Sequence[str]] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Plan:
    """Return the plan of a suite, or of the part of it that `only` names per axis.

    Args:
        suite: the question.
        only: axis -> values that are left of it.
        elsewhere: called with a data set whose images are not on this machine; returns it with a
            fingerprint and numbers of images all the same, or raises. Without it they are an error.

    Raises:
        SuiteError: an unknown plug-in, parameter or value; where, what, what is close.
        DataError: a folder data set is missing or misarranged.
    """
    where = str(suite.path)
    expansion = _Expansion(suite, where, elsewhere)
    entries = [entry for entry in expansion.entries() if is_chosen(entry, only or {})]
    if not entries:
        raise SuiteError(f"{where}: no cell is left by --only {said(only or {})}.")
    cells: dict[str, Cell] = {}
    for entry in entries:
        for cell in expansion.lineage(entry.cell):
            cells[cell.key] = cell
    above = [e for e in expansion.teachers.values() if e.cell and e.cell.key in cells]
    metrics = _metrics(suite.metrics, f"{where}: metrics")
    watched: tuple[Part[Metric], ...] = ()
    if suite.snapshots:
        watched = _metrics(suite.snapshots.metrics, f"{where}: snapshots.metrics")
        for part in watched:
            if part.declared.judges != "images":
                raise SuiteError(f"{where}: snapshots.metrics: {part.name} judges no images.")
    asked: dict[str, Entry] = {}
    for entry in entries:
        found = judges(entry.cell, (*metrics, *watched)) if entry.cell else {}
        for key, (role, judge) in found.items():
            nets = judge.nets
            place = (entry.dataset, nets.architecture.name, "real images", nets.width)
            asked[key] = Entry(*place, nets.discriminator_width, 0, role, judge)
            cells[key] = judge
    return Plan(suite, (*above, *asked.values(), *entries), cells, metrics, watched)


class _Expansion:
    """Reads a suite's rows once and multiplies them out."""

    def __init__(self, suite: Suite, where: str, elsewhere: Elsewhere | None) -> None:
        self.suite, self.where, self.elsewhere = suite, where, elsewhere
        # each is asked for thousands of times, with few different arguments
        self._task, self._nets = cache(self._task), cache(self._nets)  # type: ignore[method-assign]
        self._trained = cache(self._trained)  # type: ignore[method-assign]
        self.trained: dict[str, Cell] = {}  # key -> cell, for lineages
        self.teachers: dict[str, Entry] = {}
        self.datasets = {n: self._dataset(n, row) for n, row in suite.datasets.items()}
        self.architectures = {n: self._generator(n, row) for n, row in suite.architectures.items()}
        self.methods = {n: read_method(suite, n, row) for n, row in suite.methods.items()}
        names = {part.declared.task for part, _ in self.datasets.values()}
        self.tasks = {name: TASK.declaration(name, where).says for name in sorted(names)}
        check_tasks(self.tasks)
        check_keys(suite, self.tasks, where)
        check_used(suite, self.methods.values())
        self.select = self._selection(suite.select.best_on_val)

    def entries(self) -> Iterator[Entry]:
        suite = self.suite
        rows = product(self.datasets, self.architectures, self.methods, suite.widths)
        for dataset, architecture, method, width in rows:
            judging = suite.discriminator_widths if self._is_adversarial(dataset) else [0]
            for discriminator_width, seed in product(judging, suite.seeds):
                axes = (dataset, architecture, method, width, discriminator_width, seed)
                reason = self._skip(dataset, method)
                cell = None if reason else self._student(*axes)
                yield Entry(*axes, "student", cell, reason)

    def lineage(self, cell: Cell | None) -> Iterator[Cell]:
        """Yield a cell and the teachers above it."""
        while cell is not None:
            yield cell
            cell = self.trained.get(cell.teacher)

    def _skip(self, dataset: str, method: str) -> str:
        task = self.datasets[dataset][0].declared.task
        for part in self.methods[method][0]:
            tasks = part.declared.tasks
            if tasks is not None and task not in tasks:
                return f"{part.name} treats {', '.join(tasks)} data, {dataset} is {task}"
        return ""

    def _is_adversarial(self, dataset: str) -> bool:
        return "discriminator" in self._declared_task(dataset).networks

    def _declared_task(self, dataset: str) -> type[Task]:
        return self.tasks[self.datasets[dataset][0].declared.task]

    def _student(
        self,
        dataset: str,
        architecture: str,
        method: str,
        width: Width,
        discriminator_width: int,
        seed: int,
    ) -> Cell:
        parts, teacher, mode = self.methods[method]
        alone = self._cell(dataset, architecture, width, discriminator_width, seed, parts, None)
        if self.suite.snapshots:
            alone = replace(alone, snapshots=self.suite.snapshots.times)
        if teacher is None or mode == "":
            return alone
        if mode == "peers":
            return replace(alone, peers=teacher.peers)
        above = teacher.architecture or architecture
        deep = teacher.discriminator_width or max(self.suite.discriminator_widths)
        deep = deep if self._is_adversarial(dataset) else 0
        if mode == "online":
            nets = self._nets(dataset, above, teacher.width, deep)
            alone = replace(alone, mentor=nets, alternation=teacher.alternation)
            second = teacher.deeper if any(part.declared.deeper for part in parts) else None
            if second is None:
                return alone
            nets = self._nets(dataset, second.architecture, second.width, deep)
            return replace(alone, deeper=Deeper(nets, second.shared))
        if mode == "same":
            own = (dataset, architecture, width, discriminator_width, teacher.seed)
            return replace(alone, teacher=self._trained(*own, None))
        key = self._trained(dataset, above, teacher.width, deep, teacher.seed, teacher.budget)
        if mode == "assistant":
            middle = (dataset, architecture, teacher.assistant_width or teacher.width, deep)
            key = self._trained(*middle, teacher.seed, None, method, key)
        return replace(alone, teacher=key)

    def _trained(
        self,
        dataset: str,
        architecture: str,
        width: Width,
        discriminator_width: int,
        seed: int,
        budget: Budget | None,
        method: str = "",
        teacher: str = "",
    ) -> str:
        """Return the key of a teacher, or of the assistant that learns from it by `method`."""
        parts = self.methods[method][0] if method else (METHOD.part("none", {}, self.where),)
        axes = (dataset, architecture, width, discriminator_width, seed)
        cell = replace(self._cell(*axes, parts, budget), teacher=teacher)
        role = "assistant" if method else "teacher"
        label = f"assistant ({method})" if method else "teacher"
        entry = Entry(dataset, architecture, label, *axes[2:], role, cell)
        self.trained[cell.key] = cell
        self.teachers.setdefault(cell.key, entry)
        return cell.key

    def _cell(
        self,
        dataset: str,
        architecture: str,
        width: Width,
        discriminator_width: int,
        seed: int,
        methods: tuple[Part[Distiller], ...],
        budget: Budget | None,
    ) -> Cell:
        """Return a cell; with a budget of its own, stage by stage, or the suite's."""
        suite, task = self.suite, self._declared_task(dataset)
        part, size = self.datasets[dataset]
        first, *later = self._budgets(dataset) if budget is None else [budget] * len(task.stages)
        return Cell(
            task=self._task(dataset, architecture),
            dataset=part,
            size=size,
            nets=self._nets(dataset, architecture, width, discriminator_width),
            methods=methods,
            seed=seed,
            budget=first,
            later=tuple(later),
            outputs=self._outputs(dataset),
            select=self.select,
            numerics={
                "precision": suite.precision,
                "channels_last": suite.channels_last,
                "compile": suite.compile,
            },
        )

    def _budgets(self, dataset: str) -> list[Budget]:
        """Return the students' budget of each stage of a data set's task."""
        suite, stages = self.suite, self._declared_task(dataset).stages
        return [
            suite.stages[name].over(suite.budget) if name in suite.stages else suite.budget
            for name in stages
        ]

    def _outputs(self, dataset: str) -> Json:
        """Return how a data set's test outputs are made."""
        task = self._declared_task(dataset)
        given = {name: x for name, x in self.suite.outputs.items() if name in task.outputs}
        found = conform(given, task.outputs, {}, "the task", f"{self.where}: outputs")
        check_making(found, f"{self.where}: outputs")
        for name in ("samples", "batch"):
            if found.get(name, 1) < 1:
                raise SuiteError(
                    f"{self.where}: outputs: {name}: should be at least 1, found {found[name]}."
                )
        return found

    def _nets(
        self, dataset: str, architecture: str, width: Width, discriminator_width: int
    ) -> Nets:
        generator = self._architecture(architecture)
        size = self.datasets[dataset][1]
        multiple, numbers = generator.declared.multiple, generator.declared.widths
        if len(channels(width)) != numbers:
            wanted = f"{numbers} numbers" if numbers > 1 else "one number"
            hint = f" Write [{', '.join('8' * numbers)}]." if numbers > 1 else ""
            found = list(channels(width)) if numbers == 1 else width
            raise SuiteError(
                f"{self.where}: a width of {architecture} has {wanted}, found {found}.{hint}"
            )
        if size % multiple:
            raise SuiteError(
                f"{self.where}: {architecture} needs images whose side is a multiple of {multiple} "
                f"pixels, those of {dataset} have {size}; set `size`."
            )
        if not discriminator_width:
            return Nets(generator, width)
        name = self._task(dataset, architecture).params["discriminator"]
        given = {"norm": generator.params["norm"]} if "norm" in generator.params else {}
        judge = self._network(name, given, "discriminator", f"{self.where}: task.discriminator")
        return Nets(generator, width, judge, discriminator_width)

    def _task(self, dataset: str, architecture: str) -> Part[Task]:
        """Return the task: its defaults, overlaid by the architecture's recipe and the suite."""
        name = self.datasets[dataset][0].declared.task
        recipes = self._architecture(architecture).declared.task_defaults
        known = self.tasks[name].defaults
        given = {k: v for k, v in self.suite.task.items() if k in known}
        return TASK.part(name, {**recipes.get(name, {}), **given}, f"{self.where}: task")

    def _architecture(self, label: str) -> Part[Network]:
        if label in self.architectures:
            return self.architectures[label]
        return self._network(label, {}, "generator", f"{self.where}: teacher.architecture")

    def _generator(self, label: str, row: Json) -> Part[Network]:
        name, params = named(row, "architecture", label)
        return self._network(name, params, "generator", f"{self.where}: architectures.{label}")

    def _network(self, name: str, params: Json, role: str, where: str) -> Part[Network]:
        part = NETWORK.part(name, params, where)
        if part.declared.role != role:
            known = [n for n in NETWORK.names() if NETWORK.declaration(n, n).says.role == role]
            raise SuiteError(unknown(role, name, known, where))
        return part

    def _dataset(self, label: str, row: Json) -> tuple[Part[Dataset], int]:
        """Return the data set and its image side."""
        part = dataset_part(self.suite, label, row)
        cls = DATASET.load(part.name, f"{self.where}: datasets.{label}")
        try:
            dataset = cls(part.params)
            fingerprint = dataset.fingerprint()
            images = {f"{s}{d}": dataset.count(s, d) for s in SPLITS for d in DOMAINS}
            part = replace(part, fingerprint=fingerprint, images=images)
        except AbsentData as error:
            if self.elsewhere is None:
                raise
            part = self.elsewhere(self.suite, label, part, error)
        return part, self.suite.size or cls.size

    def _selection(self, name: str | None) -> Json:
        """Return what a cell's key says of how its checkpoint is chosen; {} for the last one."""
        if name is None:
            return {}
        where = f"{self.where}: select.best_on_val"
        metric = METRIC.part(name, self.suite.metrics.get(name, {}), where)
        declared = metric.declared
        if declared.judges != "images" or not declared.better or not declared.one_by_one:
            raise SuiteError(f"{where}: {name} does not rank images one by one.")
        for label, task in self.tasks.items():
            if "target" in declared.needs and not task.paired:
                raise SuiteError(f"{where}: {name} needs a ground truth, {label} data have none.")
        chosen = {"version": metric.version, "params": dict(metric.params)}
        return self.suite.select.model_dump() | chosen


def dataset_part(suite: Suite, label: str, row: Json) -> Part[Dataset]:
    """Return a row's data set as it is declared; whether its images are there is not asked."""
    name, params = named(row, "dataset", label)
    part = DATASET.part(name, params, f"{suite.path}: datasets.{label}")
    if not part.params.get("path"):
        return part
    path = str(suite.path.parent / Path(os.path.expandvars(part.params["path"])).expanduser())
    return replace(part, params={**part.params, "path": path}, path=path)


def _metrics(rows: Mapping[str, Json], where: str) -> tuple[Part[Metric], ...]:
    return tuple(METRIC.part(n, p, f"{where}.{n}") for n, p in rows.items())
