"""Takes up what a cell is given in the place of training, so that it is done as a trained one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.contracts.network import Network
from bench.contracts.width import said_width
from bench.errors import WeightsError
from bench.fetch.naming import Fit, state_of
from bench.fetch.recognise import recognise
from bench.fetch.tensors import read_tensors
from bench.plan.cell import Cell
from bench.store.layout import Json, Store
from bench.train import checkpoint
from bench.train.checkpoint import digest
from bench.train.learner import open_task
from bench.train.player import discriminator, generator


def receive(
    cell: Cell,
    store: Store,
    environment: Mapping[str, Any],
    emit: Callable[[str, str, Mapping[str, Any]], None],
) -> None:
    """Read the files of a cell that is given; the caller holds its lock.

    Raises:
        DistillbenchError: a file has changed since the plan was made, or is not what it should be.
    """
    assert cell.given is not None
    store.write(cell.key, "spec.json", cell.spec(environment))
    found = _take_weights(cell, store)
    record = {
        "status": "done",
        **found,
        "steps": 0,
        "given": cell.given.said,
        "nondeterministic": [],
        "finished_at": time.time(),
        **environment,
    }
    store.write(cell.key, "end.json", record)
    emit("ended", cell.key, record)


def _take_weights(cell: Cell, store: Store) -> Json:
    """Keep the networks as a trained cell's are kept; return what its end says of them."""
    networks: dict[str, Tensor] = {}
    layouts = {}
    for name, fit in read_weights(cell).items():
        networks |= {f"student0.{name}.{tensor}": x for tensor, x in fit.state.items()}
        layouts[name] = fit.said
    checkpoint.save(store.checkpoint(cell.key), networks, {"key": cell.key})
    return {"weights": digest(networks), "layouts": layouts}


def read_weights(cell: Cell) -> dict[str, Fit]:
    """Return the weights that a cell is given, by network and direction, as "generator.AtoB".

    Raises:
        WeightsError: a file has changed, is none, or does not fit the network that it is said to be
            of; which tensor is the first that does not.
    """
    assert cell.given is not None
    nets = cell.nets
    with torch.device("meta"):
        networks: dict[str, Network] = {"generator": generator(nets, cell.side)}
        if nets.discriminator:
            judged = open_task(cell).judged_channels
            networks["discriminator"] = discriminator(nets, judged)
    said = {"generator": f"{nets.architecture.name}, width {said_width(nets.width)}"}
    if nets.discriminator:
        said["discriminator"] = f"{nets.discriminator.name}, width {nets.discriminator_width}"
    found = {}
    for name, file in cell.given.files.items():
        network = name.partition(".")[0]
        tensors = read_tensors(Path(file), cell.given.sha256[name])
        try:
            found[name] = state_of(networks[network], tensors, f"{file}: {said[network]}")
        except WeightsError as error:
            raise WeightsError(f"{error}{_hint(tensors, network, cell.size)}") from error
    return found


def _hint(tensors: Mapping[str, Tensor], role: str, size: int) -> str:
    """Return what would fit instead."""
    close = [c for c in recognise(tensors, size) if c.role == role and not c.fit.faults]
    if not close:
        return " `distillbench inspect` says what the file is."
    return f" What fits: {close[0].said}."
