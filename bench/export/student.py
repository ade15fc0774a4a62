"""A trained student is opened for export, or it is said why it cannot leave."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contracts.making import EVAL, ROUNDED
from bench.contracts.network import Generator
from bench.contracts.width import said_width
from bench.errors import ExportError
from bench.evaluate.generate import open_students
from bench.export.one_image import sides_of
from bench.export.settings import Settings
from bench.plan.cell import Cell
from bench.plan.matrix import Entry, Plan
from bench.plan.scores import RESIZE, modes_of
from bench.report.rows import reason_untrained, state_of
from bench.store.layout import Store
from bench.train.items import items

ALIKE = 1e-6  # outputs of the network and of its task, which cut nothing off in between
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Student:
    """One direction of a trained student, in evaluation mode on the CPU."""

    entry: Entry
    cell: Cell
    direction: str
    network: Generator
    probes: tuple[Tensor, ...]  # a test input; and noise of another size, in a batch
    settings: Settings
    folder: str  # its name


def refusal(entry: Entry, plan: Plan, store: Store, peer: int | None) -> str:
    """Say why a student cannot leave; "" if nothing is known against it."""
    state = state_of(entry, plan, store)
    if entry.cell is None:
        return f"{entry}: {state}"
    cell, task = entry.cell, entry.cell.task.declared
    if state.status != "done":
        return f"{entry}: {state}: only a student that was trained to the end can leave."
    if why := reason_untrained(entry, state, plan, store):
        return f"{entry}: not trained: {why}"
    if task.makes != "images":
        return f"{entry}: task {cell.task.name} makes {task.makes}, not images."
    if cell.latents is not None:
        return f"{entry}: its network makes codes; its autoencoder would have to leave with it."
    if not all(source for source, _ in task.directions.values()):
        return (
            f"{entry}: task {cell.task.name} makes images from noise, by many calls of a network."
        )
    if task.inseparable:
        return f"{entry}: task {cell.task.name}: {task.inseparable}."
    if cell.peers > 1 and peer is None:
        return (
            f"{entry}: {cell.peers} peers taught each other: say which, by --peer 0 for the first."
        )
    if peer is not None and peer >= cell.peers:
        return f"{entry}: there is no peer {peer}: it has {cell.peers}, from 0 on."
    return ""


def open_student(
    entry: Entry, plan: Plan, store: Store, direction: str, peer: int | None = None
) -> Student:
    """Return one direction of a student for which there is no `refusal`.

    Raises:
        Damaged: its weights on disk are not those with which it ended.
        ExportError: its task makes images otherwise than by one call for one image.
    """
    cell = entry.cell
    assert cell is not None
    player = open_students(cell, store, CPU)[peer or 0]
    network: Generator = player.judged()["generator"][direction]
    task = player.task
    given = next(items(cell, task, direction, "test", 1, CPU))
    inputs = task.inputs(direction, given)
    if len(inputs) != 1 or inputs[0].shape != (1, 3, cell.size, cell.size):
        raise ExportError(f"{entry}: task {cell.task.name} feeds its network more than one image.")
    with torch.no_grad():
        mine = network(*inputs)[0]
        made = task.make(player.judged(), direction, given, cell.outputs)
    if made.shape != mine.shape or (made - mine).abs().max().item() > ALIKE:
        raise ExportError(f"{entry}: task {cell.task.name} does more than one call of its network.")
    sides = sides_of(network)
    side = -(-cell.size // sides.multiple) * sides.multiple
    noise = torch.empty(2, 3, side + sides.multiple, side + 2 * sides.multiple)
    noise.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    settings = Settings(
        network=cell.nets.architecture.name,
        width=cell.nets.width,
        size=cell.size,
        params=json.loads(json.dumps(network.params)),
        layout=next(iter(network.layouts())),
        parameters=sum(p.numel() for p in network.parameters()),
        multiple=sides.multiple,
        least=sides.least,
        rounding=cell.outputs.get("rounding", ROUNDED),
        resize=RESIZE,
        precision=cell.numerics["precision"],
        task=cell.task.name,
        direction=direction,
        source=_shown(cell, direction, 0),
        target=_shown(cell, direction, 1),
        dataset=entry.dataset,
        fingerprint=cell.dataset.fingerprint,
        suite=plan.suite.name,
        method=entry.method,
        seed=entry.seed,
        key=cell.key,
        files={},
    )
    folder = _folder(entry, plan, direction, peer)
    return Student(entry, cell, direction, network, (inputs[0], noise), settings, folder)


def remarks(cell: Cell) -> list[str]:
    """Say in what an export differs from what the suite scored."""
    found = []
    modes = modes_of(cell)
    if modes[0] != EVAL:
        said = f"the suite makes its images in mode {modes[0]}, an export in evaluation mode"
        found.append(f"{said}: they differ, and so would their scores")
    how = cell.numerics
    named = [] if how["precision"] == "fp32" else [f"precision {how['precision']}"]
    named += [name for name in ("channels_last", "compile") if how[name]]
    if named:
        found.append(
            f"the suite computes with {', '.join(named)}, and the files of an export may be run "
            "otherwise: pixels, and so scores, can differ a little"
        )
    if cell.peers > 1:
        found.append(f"its scores are means over {cell.peers} peers, of which it is one")
    return found


def _shown(cell: Cell, direction: str, place: int) -> str:
    """Return what the images of one end of a direction show, as the data set says it."""
    domain = cell.task.declared.directions[direction][place]
    names = dict(zip(cell.dataset.declared.domains, cell.dataset.declared.names, strict=False))
    return names.get(domain, domain)


def _folder(entry: Entry, plan: Plan, direction: str, peer: int | None) -> str:
    """Return the name of an export's folder: what tells it from the others of its suite."""
    cell = entry.cell
    assert cell is not None
    words = [entry.dataset, entry.architecture, entry.method, f"w{said_width(entry.width)}"]
    if len(plan.suite.discriminator_widths) > 1:
        words.append(f"d{entry.discriminator_width}")
    words.append(f"s{entry.seed}")
    words += [f"peer{peer}"] if cell.peers > 1 else []
    words += [direction] if len(cell.task.declared.directions) > 1 else []
    return "-".join(re.sub(r"[^\w.+-]+", "_", word).lstrip(".") for word in words)
