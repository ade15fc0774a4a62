"""What cannot come out of a plan, said before it is trained: by seeds, by weights, by data.

The arithmetic of seeds is that of the table of significance: Holm over the methods that are held
against the student alone at one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.contracts import shared_batches
from bench.contracts.width import said_width
from bench.fetch import weights
from bench.maths.attainable import LEVEL, least_holm_p, seeds_needed
from bench.plan.cell import Cell
from bench.plan.matrix import Entry, Plan
from bench.plan.scores import network_metrics, unanswered
from bench.plugins.registry import Part


@dataclass(frozen=True)
class Remark:
    """One thing that will be missing."""

    kind: str  # "seeds", "batches", "weights", "metric" or "skipped"
    text: str


def remarks(plan: Plan, device: str) -> list[Remark]:
    """Return what will be missing, each thing once.

    Args:
        plan: what is to be run; no cell has to be there.
        device: "cpu" or "cuda", on which networks would be measured.
    """
    found = [*_significance(plan), *_batches(plan)]
    found += [*_weights(plan), *_empty(plan, device), *_skipped(plan)]
    return list(dict.fromkeys(found))


def _significance(plan: Plan) -> Iterator[Remark]:
    """Yield what seeds are too few for, per number of methods."""
    if plan.shard or not any(metric.declared.judges == "images" for metric in plan.metrics):
        return  # seeds are a question to the whole plan
    students = [entry for entry in plan.students if entry.cell or entry.like]
    families: dict[tuple[int, int], list[str]] = {}
    for place, group in _by_place(students):
        methods = dict.fromkeys(entry.method for entry in group)
        controls = {entry.method for entry in group if _is_control(entry)}
        if tests := len(methods.keys() - controls):
            seeds = len({entry.seed for entry in group}) if controls else 0
            families.setdefault((seeds, tests), []).append(place)
    for (seeds, tests), places in families.items():
        where = "" if len(families) == 1 else f"{'; '.join(places)}: "
        if not seeds:
            text = "no method is the control (none), so that no gain is tested"
            yield Remark("seeds", f"{where}{text}")
        elif least_holm_p(seeds, tests) > LEVEL:
            yield Remark("seeds", f"{where}{_too_few(seeds, tests)}")


def _too_few(seeds: int, tests: int) -> str:
    said = f"{seeds} seed{'s' * (seeds != 1)} can never be significant for "
    said += f"{tests} method{'s' * (tests != 1)}: {seeds_needed(tests)} would be"
    first = seeds_needed(1)
    if seeds >= first:
        said += f" (gain by gain, after Holm; the best of all, in bold, needs {first})"
    elif first != seeds_needed(tests):
        said += f" (and below {first} nothing is, not even one method alone)"
    return said


def _batches(plan: Plan) -> Iterator[Remark]:
    """Yield what a spread over seeds does not hold."""
    if plan.suite.batches == "shared":
        yield Remark("batches", shared_batches.SAID.rstrip("."))


def _by_place(students: Iterable[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the students of each data set, architecture and width."""

    def place(entry: Entry) -> tuple[str, str, str, int]:
        return entry.dataset, entry.architecture, said_width(entry.width), entry.discriminator_width

    for (dataset, architecture, width, judge), group in groupby(sorted(students, key=place), place):
        judged = f", discriminator {judge}" if judge else ""
        yield f"{dataset}, {architecture}, width {width}{judged}", list(group)


def _is_control(entry: Entry) -> bool:
    cell = entry.cell or entry.like
    return cell is not None and cell.method == "none"


def _weights(plan: Plan) -> Iterator[Remark]:
    """Yield which pretrained networks are not here, and who asks for them."""
    asked: dict[str, list[str]] = {}
    for metric in (*plan.metrics, *plan.watched):
        for name in metric.declared.pretrained(metric.params):
            asked.setdefault(name, []).append(metric.name)
    for cell in _cells(plan):
        parts: tuple[Part[Any], ...] = (cell.task, *cell.methods)
        for part in parts:
            for parameter, names in part.declared.weights_of.items():
                for name in names if part.params[parameter] else ():
                    asked.setdefault(name, []).append(part.short)
        for nets in (cell.nets, *cell.mentors):
            for name in nets.architecture.declared.weights:
                asked.setdefault(name, []).append(nets.architecture.short)
    for name, by in asked.items():
        if weights.look(name)[0] != "here":
            needed = ", ".join(dict.fromkeys(by))
            yield Remark(
                "weights",
                f"{needed}: needs weights that are not here: `distillbench fetch {name}` brings "
                "them or says where to put them",
            )


def _empty(plan: Plan, device: str) -> Iterator[Remark]:
    """Yield which metrics will have no values, where and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in plan.students:
        cell = entry.cell or entry.like
        if cell is None:
            continue
        for metric, reason in unanswered(cell, plan.metrics):
            found.setdefault((metric, reason), []).append(entry.dataset)
        for part in network_metrics(cell, plan.metrics):
            if device == "cpu" and "gpu" in part.declared.needs:
                found.setdefault((part.name, "needs a GPU"), []).append(entry.dataset)
    everywhere = {entry.dataset for entry in plan.students}
    for (empty, reason), datasets in found.items():
        there = set(datasets)
        where = "" if there == everywhere else f" on {', '.join(dict.fromkeys(datasets))}"
        yield Remark("metric", f"{empty} will be empty{where}: {reason}")


def _skipped(plan: Plan) -> Iterator[Remark]:
    """Yield which methods are skipped, where and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in plan.students:
        if entry.cell is None and entry.like is None:
            found.setdefault((entry.method, entry.reason), []).append(entry.dataset)
    for (method, reason), datasets in found.items():
        where = ", ".join(dict.fromkeys(datasets))
        yield Remark("skipped", f"{method} is skipped on {where}: {reason}")


def _cells(plan: Plan) -> list[Cell]:
    return [*plan.every_cell.values(), *plan.open]
