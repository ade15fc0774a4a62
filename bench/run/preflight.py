"""What can be found wrong before the first step is found before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch

from bench.contracts.dataset import DOMAINS
from bench.contracts.distiller import Distiller, Side
from bench.errors import DataError, SuiteError
from bench.fetch import weights
from bench.plan.cell import Cell, Nets, open_dataset
from bench.train.learner import check_hints, kept_terms, open_distiller, open_task
from bench.train.player import discriminator, generator, layout

DECODE_AT_MOST = 5000  # images of a local folder; of more, only those a step asks for


def check(cells: Iterable[Cell], teachers: Mapping[str, Cell], say: Callable[[str], None]) -> None:
    """Build every kind of cell on the meta device, look for weights, decode local images.

    Args:
        cells: those that are about to train.
        teachers: key -> cell of every frozen teacher.
        say: told what takes a while.

    Raises:
        DistillbenchError: the first thing that is wrong.
    """
    kinds = {replace(cell, seed=0).canonical: cell for cell in cells}
    for cell in kinds.values():
        _check_networks(cell, teachers.get(cell.teacher))
    sets = {
        (c.dataset.fingerprint, c.dataset.path, c.size, bool(c.select)): c for c in kinds.values()
    }
    for cell in sets.values():
        _check_images(cell, say)


def _check_networks(cell: Cell, teacher: Cell | None) -> None:
    """Build networks and adapters without memory; find the weights that losses need."""
    task = open_task(cell)
    _check_optimiser(cell)
    distillers = [open_distiller(part.name, part.params) for part in cell.methods]
    _check_mode(cell, distillers)
    for name in (*task.weights, *(name for d in distillers for name in d.weights)):
        weights.find(name)
    hints = tuple(dict.fromkeys(role for d in distillers for role in d.hints))
    above = teacher.nets if teacher else cell.mentor or cell.nets
    is_judged = _is_judged(cell)
    is_teacher_judged = _is_judged(teacher) if teacher else cell.mentor is not None or is_judged
    sides = []
    for nets, keeps_judge in ((cell.nets, is_judged), (above, is_teacher_judged)):
        check_hints(nets, hints, cell.method)
        side = _check_sizes(cell, nets, task.judged_channels)
        sides.append(side if keeps_judge else side._replace(discriminator=None))
    shapes = [layout(nets, cell.size, task.judged_channels, hints) for nets in (cell.nets, above)]
    with torch.device("meta"):
        for distiller in distillers:
            distiller.build(*shapes)
            distiller.check(sides[0], sides[1], cell.budget.batch)


def _check_mode(cell: Cell, distillers: Iterable[Distiller]) -> None:
    """Refuse a kind of teacher that a method takes, but not with the parameters it has."""
    mode = "peers" if cell.peers > 1 else "online" if cell.mentor else ""
    for part, distiller in zip(cell.methods, distillers, strict=True):
        if mode and distiller.teachers and mode not in distiller.teachers:
            accepted = ", ".join(distiller.teachers)
            raise SuiteError(
                f"{part.name}: with its parameters the mode of its teacher can be {accepted}, "
                f"not {mode}."
            )


def _is_judged(cell: Cell) -> bool:
    """Tell whether a cell's students have discriminators: a kept term has to need one."""
    task = open_task(cell)
    distillers = (open_distiller(part.name, part.params) for part in cell.methods)
    return bool(set(kept_terms(task, distillers)) & set(task.adversarial))


def _check_optimiser(cell: Cell) -> None:
    """Refuse what Adam or the image pool would refuse at the first step."""
    params = cell.task.params
    for name in ("beta1", "beta2"):
        if not 0 <= params[name] < 1:
            raise SuiteError(f"task.{name}: should be at least 0 and less than 1: {params[name]}.")
    if params.get("pool", 0) < 0:
        raise SuiteError(f"task.pool: should be at least 0: {params['pool']}.")


def _check_sizes(cell: Cell, nets: Nets, channels: int) -> Side:
    """Refuse images that are too small for a network, in training mode; return the networks."""
    with torch.device("meta"):
        maker, judge = generator(nets, cell.size), discriminator(nets, channels)
        for part, network, seen in (
            (nets.architecture, maker, 3),
            (nets.discriminator, judge, channels),
        ):
            try:
                network(torch.empty(cell.budget.batch, seen, cell.size, cell.size))
            except (RuntimeError, ValueError) as error:
                raise SuiteError(
                    f"{part.name} cannot be built for images of {cell.size} px: {error}"
                ) from error
    return Side(maker, judge)


def _check_images(cell: Cell, say: Callable[[str], None]) -> None:
    """Count the images of each split, and decode those of a local folder."""
    dataset, name = open_dataset(cell.dataset), cell.dataset.path or cell.dataset.name
    counts = {
        (split, domain): dataset.count(split, domain)
        for split in ("train", "test", *(["val"] if cell.select else []))
        for domain in DOMAINS
    }
    for difference in dataset.differences():
        say(f"{name}: {difference}")
    for (split, domain), count in counts.items():
        if count == 0:
            raise DataError(f"{name}: the {split} split has no images of domain {domain}.")
    if cell.dataset.path and sum(counts.values()) <= DECODE_AT_MOST:
        say(f"decoding the {sum(counts.values())} images of {name} once, to find damaged ones")
        for (split, domain), count in counts.items():
            for index in range(count):
                dataset.read(split, domain, index, cell.size)
