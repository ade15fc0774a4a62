"""Who makes a cell's test outputs: its networks, or someone else, whose images are files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contracts.image import decode
from bench.contracts.metric import Predictor, Scene
from bench.evaluate.from_noise import keeper
from bench.evaluate.generate import Made, batches, open_students, outputs, to_8_bits
from bench.plan.cell import Cell
from bench.plan.result_files import files_of
from bench.plan.scores import Wanted
from bench.store.layout import Store
from bench.train.batches import normalise
from bench.train.decoded import open_decoded
from bench.train.device import autocast
from bench.train.learner import check_hints, open_task
from bench.train.player import Player


class Maker(NamedTuple):
    """What makes the test outputs of one direction, and what metrics may ask of it."""

    outputs: Callable[[], Iterator[Made]]
    scene: Callable[[Wanted], Scene]  # in which a metric finds itself
    scale: Mapping[str, float] = MappingProxyType({})  # of latents, as protocols state it


def makers(
    cell: Cell,
    store: Store,
    device: torch.device,
    wanted: Wanted,
    say: Callable[[str], None] = lambda text: None,
) -> list[Maker]:
    """Return who makes the outputs that a score asks for: several, where students are peers.

    `say` is told of a file that had no digest yet.

    Raises:
        Damaged: the cell's weights on disk are not those with which it ended.
        DataError: the images that it was given have changed.
    """
    step, direction, mode = wanted.step, wanted.direction, wanted.mode
    if not cell.has_networks:
        return [_files(cell, store, device, direction, mode)]
    students = open_students(cell, store, device, step, say, mode)
    return [_student(cell, store, student, direction, mode) for student in students]


def _student(cell: Cell, store: Store, student: Player, direction: str, mode: str) -> Maker:
    """Return a trained student, which answers for itself too."""
    task = cell.task.declared
    denoise = functools.partial(_denoise, cell, student, direction)
    hints = functools.partial(_hints, cell, student, direction)
    scale = {"scale": float(f"{student.codec.scale:.6g}")} if student.codec else {}

    def scene(wanted: Wanted) -> Scene:
        found = _scene(cell, wanted, store, student.device)
        if found.judge is None and task.makes != "images":
            found = replace(found, judge=lambda: functools.partial(_predict, student))
        return replace(found, denoise=denoise if task.denoises else None, hints=hints)

    def made() -> Iterator[Made]:
        recall = keeper(cell, store, student, direction, mode)
        return outputs(cell, student, direction, cell.scored_on, mode, recall)

    return Maker(made, scene, scale)


def _files(cell: Cell, store: Store, device: torch.device, direction: str, mode: str) -> Maker:
    """Return images that lie in files."""
    files, task = files_of(cell, direction), open_task(cell)

    def read(places: range, given: Mapping[str, Tensor]) -> Tensor:
        images = torch.stack([normalise(decode(files[place])) for place in places])
        return to_8_bits(images).to(device)

    made = functools.partial(batches, cell, task, direction, cell.scored_on, mode, device, read)
    return Maker(made, lambda wanted: _scene(cell, wanted, store, device))


def _scene(cell: Cell, wanted: Wanted, store: Store, device: torch.device) -> Scene:
    """Return where a metric finds itself that is asked about images alone."""
    judge = None
    if wanted.judge is not None:
        judge = functools.partial(_open_judge, wanted.judge, store, device)
    return Scene(device, open_decoded(cell.dataset), cell.size, judge, cell.scored_on)


def _open_judge(judge: Cell, store: Store, device: torch.device) -> Predictor:
    (player,) = open_students(judge, store, device)
    return functools.partial(_predict, player)


@torch.no_grad()
def _predict(player: Player, images: Tensor) -> Tensor:
    """Return what a judge makes of images [N, 3, S, S] in [-1, 1]."""
    (network,) = player.generators.values()
    output: Tensor = network(images)[0]
    return output


@torch.no_grad()
def _denoise(
    cell: Cell, student: Player, direction: str, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return which noise a network finds in a batch, and the clean images that this implies."""
    with autocast(student.device, cell.numerics):
        return student.task.denoise(student.judged(), direction, batch)


@torch.no_grad()
def _hints(
    cell: Cell, student: Player, direction: str, batch: Mapping[str, Tensor], roles: Sequence[str]
) -> dict[str, Tensor]:
    """Return what a network sees in a batch, by role."""
    network = student.judged()["generator"][direction]
    check_hints(cell.nets, roles, cell.method)
    with autocast(student.device, cell.numerics):
        _, found = network(*student.task.inputs(direction, batch), hints=roles)
    return {role: feature.float() for role, feature in found.items()}
