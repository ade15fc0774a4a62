"""What can be found wrong before the first step is found before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.contracts.dataset import Dataset
from bench.contracts.distiller import Distiller, Side
from bench.contracts.image import left_out, look, remarks
from bench.contracts.network import Network
from bench.contracts.task import Task
from bench.errors import DataError, PluginError, SuiteError
from bench.fetch import weights
from bench.fetch.needs import in_train_and_test
from bench.plan.cell import Cell, Nets, open_dataset, splits_of
from bench.plan.result_files import look_at
from bench.run.receive import read_weights
from bench.train.codes import open_file
from bench.train.decoded import open_decoded
from bench.train.learner import check_hints, kept_terms, open_task
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
        if not cell.has_networks:
            for remark in look_at(cell):
                say(remark)
        elif cell.given:
            read_weights(cell)
        else:
            _check_networks(cell, teachers.get(cell.teacher))
    sets = {
        (c.dataset.fingerprint, c.dataset.path, c.size, _is_validated(c)): c for c in kinds.values()
    }
    for cell in sets.values():
        _check_images(cell, say)


def _check_networks(cell: Cell, teacher: Cell | None) -> None:
    """Build networks and adapters without memory; find the weights that losses need."""
    task = open_task(cell)
    task.check()
    task.loaded(cell.size)
    task.check_outputs(cell.outputs)
    if cell.latents and cell.latents.file:
        open_file(cell.latents)
    distillers = [part.load()(part.params) for part in cell.methods]
    _check_mode(cell, distillers)
    needed = [*task.weights, *(name for d in distillers for name in d.weights)]
    for nets in (cell.nets, *cell.mentors):
        needed += nets.architecture.declared.weights
    for name in needed:
        weights.find(name)
    hints = tuple(dict.fromkeys(role for d in distillers for role in d.hints))
    above = teacher.nets if teacher else cell.mentor or cell.nets
    is_judged = _is_judged(cell)
    is_teacher_judged = _is_judged(teacher) if teacher else cell.mentor is not None or is_judged
    sides = []
    for nets, keeps_judge in ((cell.nets, is_judged), (above, is_teacher_judged)):
        check_hints(nets, hints, cell.method)
        side = _check_sizes(cell, nets, task)
        _check_feeding(cell, nets, task, side)
        sides.append(side if keeps_judge else side._replace(discriminator=None))
    _check_stages(cell, task, sides[0])
    if cell.mentor:
        _check_stages(cell, task, sides[1])
    if cell.deeper:
        deeper = _check_sizes(cell, cell.deeper.nets, task)
        _check_stages(cell, task, deeper)
        if deeper.discriminator and sides[1].discriminator:
            deeper.discriminator.share(sides[1].discriminator, cell.deeper.shared)
    shapes = [layout(nets, cell.side, task.judged_channels, hints) for nets in (cell.nets, above)]
    with torch.device("meta"):
        for distiller in distillers:
            distiller.build(*shapes)
            distiller.check(sides[0], sides[1], min(b.batch for b in cell.budgets))


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
    distillers = (part.load()(part.params) for part in cell.methods)
    return bool(set(kept_terms(task, distillers)) & set(task.adversarial))


def _check_stages(cell: Cell, task: Task, side: Side) -> None:
    """Refuse a stage that moves a part which the architecture does not have.

    Raises:
        PluginError: which part, and of which architecture.
    """
    known = open_dataset(cell.dataset).domains
    for domain in {d for pair in task.directions.values() for d in pair if d} - set(known):
        raise PluginError(
            f"{cell.task.name} reads domain {domain}, and {cell.dataset.name} has {list(known)}."
        )
    networks = {"generator": side.generator, "discriminator": side.discriminator}
    for stage, turns in task.stages.items():
        for name in (name for names in turns.values() for name in names):
            network, _, part = name.partition(".")
            said = f"{cell.task.name}: its stage {stage!r} moves {name!r}"
            if network not in task.networks:
                raise PluginError(f"{said}; a player has {', '.join(task.networks)}.")
            one = networks[network]
            try:
                if one is not None:  # a player whose methods keep no adversarial term has none
                    one.get_submodule(part)
            except AttributeError as error:
                kind = type(one).__name__
                raise PluginError(f"{said}, and {kind} has no {part!r}.") from error


def _check_sizes(cell: Cell, nets: Nets, task: Task) -> Side:
    """Refuse images that are too small for a network, in training mode; return the networks."""
    batch, judge = min(budget.batch for budget in cell.budgets), None
    with torch.device("meta"):
        maker = generator(nets, cell.side)
        asked: list[tuple[str, Network, tuple[Tensor, ...]]] = [
            (nets.architecture.name, maker, maker.example(batch))
        ]
        if nets.discriminator and "discriminator" in task.networks:
            judge = discriminator(nets, task.judged_channels)
            seen = torch.empty(batch, task.judged_channels, cell.size, cell.size)
            asked.append((nets.discriminator.name, judge, (seen,)))
        for name, network, inputs in asked:
            try:
                network(*inputs)
            except (RuntimeError, ValueError) as error:
                raise SuiteError(
                    f"{name} cannot be built for images of {cell.size} px: {error}"
                ) from error
    return Side(maker, judge)


def _check_feeding(cell: Cell, nets: Nets, task: Task, side: Side) -> None:
    """Refuse an architecture that cannot take what the task feeds it.

    Raises:
        SuiteError: the message that calling it would end with.
    """
    shape, rng = (task.code_channels or 3, cell.side, cell.side), np.random.default_rng(0)
    batch = {d: torch.empty(1, *shape, device="meta") for d in open_dataset(cell.dataset).domains}
    drawn = {n: torch.from_numpy(np.stack([x])) for n, x in task.draw(cell.side, rng).items()}
    batch |= {name: x.to("meta") for name, x in drawn.items()}
    for direction in task.directions:
        try:
            side.generator(*task.inputs(direction, batch), hints=())
        except (TypeError, RuntimeError, ValueError) as error:
            hint = f": latents have {task.code_channels} channels" if cell.latents else ""
            raise SuiteError(
                f"{nets.architecture.name} cannot take what {cell.task.name} feeds it: "
                f"{error}{hint}"
            ) from error


def _check_images(cell: Cell, say: Callable[[str], None]) -> None:
    """Count the images of each split, and decode those of a local folder."""
    dataset, name = open_decoded(cell.dataset), cell.dataset.path or cell.dataset.name
    splits = splits_of(cell.task.declared)
    splits += ["val"] if _is_validated(cell) and "test" in splits else []  # else samples are judged
    counts = {(s, domain): dataset.count(s, domain) for s in splits for domain in dataset.domains}
    for difference in dataset.differences():
        say(f"{name}: {difference}")
    for (split, domain), count in counts.items():
        if count == 0:
            raise DataError(f"{name}: the {split} split has no images of domain {domain}.")
    if cell.dataset.path and sum(counts.values()) <= DECODE_AT_MOST:
        say(f"decoding the {sum(counts.values())} images of {name} once, to find damaged ones")
        for (split, domain), count in counts.items():
            pixels = (dataset.read(split, domain, i, cell.size) for i in range(count))
            flat = [bool((x == x[0, 0]).all()) for x in pixels]
            if all(flat):
                raise DataError(
                    f"{name}: every image of domain {domain} of the {split} split is of one colour."
                )
        _remark(dataset, list(counts), name, say)


def _is_validated(cell: Cell) -> bool:
    """Say whether a cell's images of the validation split are looked at."""
    return bool(cell.select) or cell.scored_on == "val"


def _remark(
    dataset: Dataset, places: Iterable[tuple[str, str]], name: str, say: Callable[[str], None]
) -> None:
    """Say what is odd about the files of a local data set, and how it is read."""
    files = {file: None for place in places for file in dataset.files(*place)}
    for remark in (*dataset.remarks(), *remarks([look(file)[1] for file in files])):
        say(f"{name}: {remark}")
    for folder in dict.fromkeys(file.parent for file in files):
        if others := left_out(folder):
            say(f"{folder}: left out: {others}")
    shared = in_train_and_test(dataset)
    if shared:
        first = " and ".join(shared[0])
        say(f"{name}: {len(shared)} test images are in train too, as {first}")
