"""A suite becomes a plan: every row is checked, then multiplied out.

Imports no torch, so that a plan of ten thousand cells is there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from bench.contracts.dataset import DOMAINS, SPLITS, Dataset
from bench.contracts.kinds import DATASET, METHOD, NETWORK, TASK
from bench.contracts.making import check_making
from bench.contracts.width import Width, channels
from bench.errors import AbsentData, SuiteError, unknown
from bench.plan import criteria
from bench.plan.cell import NUMERICS, Cell, Deeper, Given, Json, Nets
from bench.plan.display_names import labels_of
from bench.plan.given import given_row, is_given, places_of, teacher_place
from bench.plan.latents import ROLE, latents_of
from bench.plan.matrix import Entry, Place, Plan
from bench.plan.only import is_chosen, said
from bench.plan.scores import judges
from bench.plan.suite import Budget, Suite
from bench.plan.suite_rows import check_used, dataset_part, method_row, named, reports_of
from bench.plan.tuning import Choice, Parts, Results, Trial, check_splits, choose
from bench.plan.unused_keys import check_keys, check_tasks
from bench.plugins.registry import Part, conform

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller
    from bench.contracts.metric import Metric
    from bench.contracts.network import Network
    from bench.contracts.task import Task

Elsewhere = Callable[[Suite, str, Part[Dataset], AbsentData], Part[Dataset]]
"""(suite, its name for a data set, that data set, what is missing) -> what it is elsewhere."""


def expand(
    suite: Suite,
    only: Mapping[str, Sequence[str]] | None = None,
    elsewhere: Elsewhere | None = None,
    results: Results | None = None,
) -> Plan:
    """Return the plan of a suite, or of the part of it that `only` names per axis.

    Args:
        suite: the question.
        only: axis -> values that are left of it.
        elsewhere: called with a data set whose images are not on this machine; returns it with a
            fingerprint and numbers of images all the same, or raises. Without it they are an error.
        results: how cells ended, for the choice among the trials of a suite that tunes.

    Raises:
        SuiteError: an unknown plug-in, parameter or value; where, what, what is close.
        DataError: a folder data set is missing or misarranged.
    """
    where = str(suite.path)
    expansion = _Expansion(suite, where, elsewhere, results)
    entries = [entry for entry in expansion.entries() if is_chosen(entry, only or {})]
    if not entries:
        raise SuiteError(f"{where}: no cell is left by --only {said(only or {})}.")
    metrics = criteria.of_results(suite, where)
    watched = criteria.of_snapshots(suite, where)
    above, asked, cells = expansion.around(entries, (*metrics, *watched))
    plan = Plan(suite, (*above, *asked, *entries), cells, metrics, watched)
    return replace(plan, trials=expansion.trials(entries)) if expansion.chooser else plan


class _Expansion:
    """Reads a suite's rows once and multiplies them out."""

    def __init__(
        self, suite: Suite, where: str, elsewhere: Elsewhere | None, results: Results | None
    ) -> None:
        self.suite, self.where, self.elsewhere = suite, where, elsewhere
        self.results = results
        # each is asked for thousands of times, with few different arguments
        self._task, self._nets = cache(self._task), cache(self._nets)  # type: ignore[method-assign]
        self._trained = cache(self._trained)  # type: ignore[method-assign]
        self._choice = cache(self._choice)  # type: ignore[method-assign]
        self.trained: dict[str, Cell] = {}  # key -> cell, for lineages
        self.teachers: dict[str, Entry] = {}
        labels_of(suite)  # refused before anything trains
        self.datasets = {n: self._dataset(n, row) for n, row in suite.datasets.items()}
        self.architectures = {n: self._generator(n, row) for n, row in suite.architectures.items()}
        rows = suite.methods.items()
        self.theirs = {n: given_row(suite, n, row) for n, row in rows if is_given(row)}
        self.methods = {n: method_row(suite, n, r) for n, r in rows if n not in self.theirs}
        names = {part.declared.task for part, _ in self.datasets.values()}
        self.tasks = {name: TASK.declaration(name, where).says for name in sorted(names)}
        check_tasks(self.tasks)
        check_keys(suite, self.tasks, where)
        self.latents = {
            name: latents_of(suite, self._declared_task(name), part, size, where)
            for name, (part, size) in self.datasets.items()
        }
        check_used(suite, self.methods.values())
        reports_of(suite)  # are made later, but refused before anything is trained
        self.select = criteria.of_checkpoints(suite, self.tasks, where)
        self.chooser = criteria.of_trials(suite, where) if suite.tune else None

    def entries(self) -> Iterator[Entry]:
        suite = self.suite
        rows = product(self.datasets, self.architectures, self.methods, suite.widths)
        for dataset, architecture, method, width in rows:
            judging = suite.discriminator_widths if self._is_adversarial(dataset) else [0]
            for discriminator_width, seed in product(judging, suite.seeds):
                yield self._entry((dataset, architecture, method, width, discriminator_width), seed)
        tasks = {name: self._declared_task(name) for name in self.datasets}
        for label, row in self.theirs.items():
            yield from places_of(suite, label, row, tasks, self._given)

    def _entry(self, place: Place, seed: int) -> Entry:
        """Return a student's place; where its weight awaits trials, the cell is still open."""
        reason = self._skip(place[0], place[2])
        choice = None if reason else self._choice(place)
        if choice is None or choice.best:
            parts = choice.best.parts if choice and choice.best else None
            cell = None if reason else self._student(*place, seed, parts)
            return Entry(*place, seed, "student", cell, reason, choice.told if choice else {})
        like = self._student(*place, seed) if choice.is_open else None
        return Entry(*place, seed, "student", None, choice.reason, choice.told, like)

    def _choice(self, place: Place) -> Choice | None:
        """Return what the trials of a method at a place have shown; None if there are none."""
        settings, tune = self.methods[place[2]].settings, self.suite.tune
        if tune is None or self.chooser is None or not settings:
            return None
        trials = [
            Trial(s, tuple(self._trial(place, seed, s.parts) for seed in tune.seeds))
            for s in settings
        ]
        check_splits(trials[0].cells[0], self.chooser, place[0], f"{self.where}: tune")
        return choose(trials, self.chooser, tune, self.results)

    def _trial(self, place: Place, seed: int, parts: Parts) -> Cell:
        cell = self._student(*place, seed, parts)
        return replace(cell, snapshots=0, scored_on="val")

    def trials(self, entries: Iterable[Entry]) -> Plan:
        """Return the plan of the trials that students await, whose teachers it leaves unscored."""
        assert self.chooser is not None
        found = []
        for place in dict.fromkeys(e.place for e in entries if e.role == "student"):
            choice = self._choice(place)
            for trial in choice.trials if choice else ():
                label = f"{place[2]} ({trial.setting.said})"
                where = (*place[:2], label, *place[3:])
                found += [Entry(*where, cell.seed, "trial", cell) for cell in trial.cells]
        above, asked, cells = self.around(found, (self.chooser,))
        mine = {entry.cell.key for entry in found if entry.cell}
        cells = {k: c if k in mine else replace(c, scored_on="") for k, c in cells.items()}
        others = [replace(e, cell=cells[e.cell.key]) for e in (*above, *asked) if e.cell]
        return Plan(self.suite, (*others, *found), cells, (self.chooser,))

    def around(
        self, entries: Iterable[Entry], metrics: tuple[Part[Metric], ...]
    ) -> tuple[list[Entry], list[Entry], dict[str, Cell]]:
        """Return the places of teachers and of judges, and all cells, theirs included, by key."""
        cells: dict[str, Cell] = {}
        asked: dict[str, Entry] = {}
        for entry in entries:
            for cell in self.lineage(entry.cell):
                cells[cell.key] = cell
        above = [e for e in self.teachers.values() if e.cell and e.cell.key in cells]
        for entry in entries:
            found = judges(entry.cell, metrics) if entry.cell else {}
            latents = entry.cell.latents if entry.cell else None
            if latents and not latents.file:
                found[latents.autoencoder.key] = (ROLE, latents.autoencoder)
            for key, (role, judge) in found.items():
                nets = judge.nets
                place = (entry.dataset, nets.architecture.name, "real images", nets.width)
                asked[key] = Entry(*place, nets.discriminator_width, 0, role, judge)
                cells[key] = judge
        return above, list(asked.values()), cells

    def lineage(self, cell: Cell | None) -> Iterator[Cell]:
        """Yield a cell and the teachers above it."""
        while cell is not None:
            yield cell
            cell = self.trained.get(cell.teacher)

    def _skip(self, dataset: str, method: str) -> str:
        task = self.datasets[dataset][0].declared.task
        for part in self.methods[method].parts:
            tasks = part.declared.tasks
            if why := part.declared.elsewhere.get(task):
                return f"{part.name}: {why}"
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
        tuned: Parts | None = None,
    ) -> Cell:
        """Return a student's cell, by its method as the suite has it or as it was tuned."""
        parts, teacher, mode, _ = self.methods[method]
        axes = (dataset, architecture, width, discriminator_width, seed)
        snapshots = self.suite.snapshots.times if self.suite.snapshots else 0
        is_shared = self.suite.batches == "shared"  # a teacher, trained at one seed, shares nothing
        alone = self._cell(*axes, tuned or parts, None, snapshots, is_shared)
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
        if teacher.weights is not None:
            task = self._declared_task(dataset)
            place = teacher_place(self.suite, teacher, dataset, task, above, deep, self._given)
            return replace(alone, teacher=self._known(place))
        if mode == "same":
            return replace(alone, teacher=self._trained(*axes[:-1], teacher.seed, None))
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
        parts = self.methods[method].parts if method else (METHOD.part("none", {}, self.where),)
        axes = (dataset, architecture, width, discriminator_width, seed)
        cell = replace(self._cell(*axes, parts, budget), teacher=teacher)
        role = "assistant" if method else "teacher"
        label = f"assistant ({method})" if method else "teacher"
        return self._known(Entry(dataset, architecture, label, *axes[2:], role, cell))

    def _known(self, entry: Entry) -> str:
        """Keep whom students learn from; return the cell's key."""
        cell = entry.cell
        assert cell is not None
        self.trained[cell.key] = cell
        self.teachers.setdefault(cell.key, entry)
        return cell.key

    def _given(self, dataset: str, net: str, width: Width, judge_width: int, given: Given) -> Cell:
        """Return a cell that is not trained."""
        nothing = (METHOD.part("none", {}, self.where),), Budget(steps=1)
        cell = self._cell(dataset, net, width, judge_width, 0, *nothing)
        return replace(cell, later=(), given=given)

    def _cell(
        self,
        dataset: str,
        architecture: str,
        width: Width,
        discriminator_width: int,
        seed: int,
        methods: tuple[Part[Distiller], ...],
        budget: Budget | None,
        snapshots: int = 0,
        shared_batches: bool = False,
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
            latents=self.latents[dataset],
            numerics={name: getattr(suite, name) for name in NUMERICS},
            snapshots=snapshots,
            shared_batches=shared_batches,
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
        generator, latents = self._architecture(architecture), self.latents[dataset]
        size = self.datasets[dataset][1] // (latents.factor if latents else 1)
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
