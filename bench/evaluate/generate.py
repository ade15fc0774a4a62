"""A trained student's test outputs are made: batch by batch, as its task says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from bench.contracts.image import Pixels
from bench.contracts.making import AS_TRAINED, EVAL, ROUNDED, TRUNCATED
from bench.contracts.task import Task
from bench.errors import Damaged
from bench.evaluate.from_noise import Recall, keeper
from bench.maths.seed import derive
from bench.plan.cell import Cell
from bench.plan.scores import count_outputs
from bench.store.atomic import replacing
from bench.store.layout import Store
from bench.train.codes import Codec
from bench.train.device import autocast, seed_step
from bench.train.items import items
from bench.train.learner import open_task
from bench.train.player import Player, below
from bench.train.trained import open_networks

BATCH = 16  # images made at once, unless the suite says otherwise; eval mode: it changes no image
SAMPLES = 5  # test outputs kept for the grids, at even distances


class Made(NamedTuple):
    """A batch of test outputs: [N, 3, S, S] in [0, 1], of 8 bits."""

    output: Tensor
    target: Tensor | None  # ground truth
    shown: Mapping[str, Tensor]  # role on a sample sheet -> images


def open_students(
    cell: Cell,
    store: Store,
    device: torch.device,
    step: int = 0,
    say: Callable[[str], None] = lambda text: None,
    mode: str = EVAL,
) -> list[Player]:
    """Return a trained cell's student, or its peers, as they ended or at the step of a snapshot.

    `say` is told of a file that had no digest yet; `mode` is that of its generators.

    Raises:
        Damaged: the file of its networks is missing or damaged, or they learnt other codes than
            its autoencoder makes.
    """
    tensors = open_networks(store, cell.key, step, say)
    codec = Codec(cell, store, device, say) if cell.latents else None
    if codec and store.read(cell.key, "spec.json").get("codes") != codec.content:
        reason = "its autoencoder makes other codes now; `distillbench run` trains it again."
        store.disown(cell.key, reason)
        raise Damaged(f"cell {cell.key}: {reason}")
    students = []
    for number in range(cell.peers):
        student = Player(cell, cell.nets, open_task(cell), device)
        student.load_networks(below(tensors, f"student{number}"))
        student.freeze()
        for network in student.judged()["generator"].values():
            _set_mode(network, mode)
        student.settle()
        student.codec = codec
        students.append(student)
    return students


def _set_mode(network: nn.Module, mode: str) -> None:
    """Put a network in one of `MODES`; running statistics stay as they are in all of them."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and mode != EVAL:
            module.train()
            module.momentum = 0.0
        elif isinstance(module, nn.modules.dropout._DropoutNd) and mode == AS_TRAINED:
            module.train()


def outputs(
    cell: Cell,
    student: Player,
    direction: str,
    split: str,
    mode: str = EVAL,
    recall: Recall = lambda places, make: make(),
) -> Iterator[Made]:
    """Yield a student's outputs of a split, batch by batch, and what they are held against.

    `mode` is that in which the student was opened: but for `eval`, images are made one by one.
    `recall` may have a batch already.
    """
    task = student.task
    is_truncated = cell.outputs.get("rounding", ROUNDED) == TRUNCATED

    def make(places: range, given: Mapping[str, Tensor]) -> Tensor:
        if mode != EVAL:
            seed = derive("dropout", cell.dataset.name, cell.size, direction, places.start)
            seed_step(seed, student.device)
        with torch.no_grad(), autocast(student.device, cell.numerics):
            made = task.make(student.judged(), direction, given, cell.outputs)
        if student.codec:
            made = student.codec.decode(made)
        return to_8_bits(made, is_truncated)

    def recalled(places: range, given: Mapping[str, Tensor]) -> Tensor:
        return recall(places, functools.partial(make, places, given))

    yield from batches(cell, task, direction, split, mode, student.device, recalled)


def batches(
    cell: Cell,
    task: Task,
    direction: str,
    split: str,
    mode: str,
    device: torch.device,
    make: Callable[[range, Mapping[str, Tensor]], Tensor],
) -> Iterator[Made]:
    """Yield a split's outputs, batch by batch, and what they are held against.

    `make` returns the outputs at some places, [N, 3, S, S] of 8 bits, of what they are made from.
    """
    batch = int(cell.outputs.get("batch", BATCH)) if mode == EVAL else 1
    count = count_outputs(cell, direction, split)
    for number, given in enumerate(items(cell, task, direction, split, batch, device)):
        first = number * batch
        output = make(range(first, min(first + batch, count)), given)
        truth = task.truth(direction, given)
        shown = {role: to_8_bits(x) for role, x in task.shown(direction, given).items()}
        yield Made(output, None if truth is None else to_8_bits(truth), shown)


def to_8_bits(images: Tensor, is_truncated: bool = False) -> Tensor:
    """[-1, 1] -> [0, 1], rounded (or cut down) to the 256 levels that an image file holds."""
    levels = images.float().add(1).mul(127.5)
    levels = levels.floor() if is_truncated else levels.round()
    return levels.clamp(0, 255).div(255)


def keep_samples(store: Store, cell: Cell, direction: str, batch: Made, first: int) -> None:
    """Write test outputs at even distances, and what they were made from and held against."""
    if cell.task.declared.makes != "images":
        return
    count = count_outputs(cell, direction, cell.scored_on)
    kept = min(SAMPLES, count)
    places = [number * count // kept for number in range(kept)]
    for number, place in enumerate(places):
        if first <= place < first + len(batch.output):
            for role, images in {"output": batch.output, **batch.shown}.items():
                pixels = _pixels(images[place - first])
                path = store.folder(cell.key) / "samples" / f"{direction}-{number}-{role}.png"
                with replacing(path) as file:
                    Image.fromarray(pixels).save(file, format="PNG")


def outputs_at(
    cell: Cell, store: Store, device: torch.device, direction: str, mode: str, places: Sequence[int]
) -> dict[int, dict[str, Pixels]]:
    """Make some test outputs of a trained cell again: place -> role -> image; of peers, the first.

    Roles are those of the samples: `output`, and what it was made from and held against.

    Raises:
        Damaged: the file of its networks is missing or damaged.
    """
    student = open_students(cell, store, device, mode=mode)[0]
    found, first = {}, 0
    recall = keeper(cell, store, student, direction, mode)
    for batch in outputs(cell, student, direction, "test", mode, recall):
        for place in places:
            if first <= place < first + len(batch.output):
                roles = {**batch.shown, "output": batch.output}
                found[place] = {role: _pixels(x[place - first]) for role, x in roles.items()}
        first += len(batch.output)
    return found


def _pixels(image: Tensor) -> Pixels:
    """[3, H, W] in [0, 1] -> [H, W, 3] uint8."""
    pixels: Pixels = image.cpu().mul(255).round().byte().permute(1, 2, 0).numpy()
    return pixels
