"""What a network costs is scored once per network, not once per method that trained it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch

from bench.contracts.kinds import NETWORK
from bench.contracts.metric import Metric, NetworkMetric, NoScore
from bench.contracts.network import Discriminator, Generator
from bench.contracts.width import Width, channels
from bench.errors import Interrupted, SuiteError
from bench.maths.count import Count
from bench.plan.cell import Cell
from bench.plan.scores import network_id, network_metrics, network_protocol, record, score_id
from bench.plugins.registry import Part
from bench.store.layout import Store, read_json, write_json
from bench.train.device import autocast, clocks
from bench.train.player import generator


def measure(
    cell: Cell,
    store: Store,
    metrics: Sequence[Part[Metric]],
    device: torch.device,
    environment: Mapping[str, Any],
    stop: Callable[[], bool],
    again: bool = False,
) -> dict[str, str]:
    """Score a cell's generator as a network, by every metric that it lacks, or by all `again`.

    Returns:
        Metric -> traceback, of those that failed; they leave no score, and the others do.

    Raises:
        Interrupted: `stop` said so, after the last metric; what was measured before is kept.
    """
    path = store.network(network_id(cell))
    scores, failures = read_json(path), {}
    for part in network_metrics(cell, metrics):
        declared = part.declared
        metric = cast(type[NetworkMetric], part.load())(part.params)
        protocol = network_protocol(cell, part, environment if declared.alone else {})
        protocol |= metric.protocol()
        wanted = score_id(part, protocol)
        if wanted in scores and not again:
            continue
        if stop():
            raise Interrupted("stopped between two measurements.")
        values: Mapping[str, float] = {}
        reason = "needs a GPU" if "gpu" in declared.needs and device.type == "cpu" else ""
        if not reason:
            try:
                with autocast(device, cell.numerics):
                    values = metric.measure(_as_trained(cell), device)
            except NoScore as why:
                reason = str(why)
            except Exception:
                failures[part.name] = traceback.format_exc()
                continue
        found = record(part, protocol, values, reason, time.time())
        scores[wanted] = found | ({"clocks": clocks(device)} if declared.alone else {})
        write_json(path, scores)
    return failures


def _as_trained(cell: Cell) -> Generator:
    """Return a cell's generator in the memory format, and compiled, as it trained."""
    network = generator(cell.nets, cell.side)
    if cell.numerics["channels_last"]:
        network = network.to(memory_format=torch.channels_last)
    if cell.numerics["compile"]:
        network.compile()
    return network


def count_network(
    name: str, width: Width, size: int, seen: int, given: Mapping[str, Any] | None = None
) -> Count:
    """Count an architecture of `bench/nets/`.

    Args:
        name: a file name, or a user's `module:Class`.
        width: base channels.
        size: side of the square input in pixels.
        seen: channels of a discriminator's input; a generator's has 3.
        given: parameters that differ from its defaults.

    Raises:
        SuiteError: there is no such network, it has no such parameter, its width has another
            number of numbers, or it does not take images of this size.
    """
    part = NETWORK.part(name, dict(given or {}), "count")
    declared = part.declared
    if size % declared.multiple:
        raise SuiteError(
            f"{name} needs an image side that is a multiple of {declared.multiple}, not {size}."
        )
    if len(channels(width)) != declared.widths:
        raise SuiteError(f"{name} needs a width of {declared.widths} numbers, not {width}.")
    try:
        if declared.role != "discriminator":
            with torch.device("meta"):
                maker = cast(type[Generator], part.load())(width, size, part.params)
            return maker.cost()
        with torch.device("meta"):
            judge = cast(type[Discriminator], part.load())(channels(width)[0], seen, part.params)
        return judge.cost(torch.empty(1, seen, size, size, device="meta"))
    except (RuntimeError, ValueError) as error:
        raise SuiteError(f"{name} cannot take images of {size} px: {error}") from error
