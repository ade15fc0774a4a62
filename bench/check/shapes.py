"""What is asked of an architecture: shapes, hints, costs, and that it trains."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.check.question import Question, Unasked, require
from bench.check.small import small_plan, students, train_teachers, train_together
from bench.contracts.network import Generator, Network
from bench.errors import SuiteError
from bench.plugins.registry import Part
from bench.store.layout import Store

LEAST = 32  # pixels of a side


def questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked of a generator of images, or of a discriminator."""
    for times in (1, 2, 3):
        side = _side(part) * times
        said = f"at {side} pixels its output has the shape and range of the contract"
        yield Question(said, partial(_maps, part, side))
    yield Question("asking for hints changes no bit of the output", partial(_hints, part))
    yield Question("its parameters and operations are counted", partial(_costs, part))
    yield Question("at twice the width it has more parameters", partial(_widens, part))
    yield Question("it trains as student and teacher", partial(_trains, part))


def _side(part: Part[Any]) -> int:
    multiple: int = part.declared.multiple
    return -(-LEAST // multiple) * multiple


def _network(part: Part[Any], side: int, width: int = 2) -> Network:
    cls = part.load()
    if not issubclass(cls, Generator):
        return cls(width, 6, part.params)  # type: ignore[no-any-return]
    numbers = cls.widths
    return cls(width if numbers == 1 else (width,) * numbers, side, part.params)


def _example(part: Part[Any], network: Network, side: int) -> torch.Tensor:
    """Return images that a network is to take."""
    if not isinstance(network, Generator):
        return torch.linspace(-1, 1, 6 * side * side).view(1, 6, side, side)
    shapes = [tuple(x.shape) for x in network.example()]
    if shapes != [(1, 3, side, side)]:
        raise Unasked(f"{part.short} does not map one image to another.")
    return torch.linspace(-1, 1, 3 * side * side).view(1, 3, side, side)


def _maps(part: Part[Any], side: int) -> None:
    network = _network(part, side)
    x = _example(part, network, side)
    output, found = network(x)
    require(found == {}, "it returns hints that nobody asked for.")
    for made in output if isinstance(output, list) else [output]:
        require(bool(torch.isfinite(made).all()), "its output is not finite.")
    if isinstance(network, Generator):
        found = tuple(output.shape)
        require(found == tuple(x.shape), f"{tuple(x.shape)} becomes {found}.")
        require(bool(output.abs().max() <= 1), "its output leaves [-1, 1].")


def _hints(part: Part[Any]) -> None:
    network = _network(part, _side(part)).eval()
    x, roles = _example(part, network, _side(part)), tuple(network.taps)
    with torch.no_grad():
        plain, _ = network(x)
        hinted, found = network(x, roles)
        copies = {role: feature.clone() for role, feature in found.items()}
        alone = [network(x, (role,))[1][role] for role in roles]
    pairs = zip(plain, hinted, strict=True) if isinstance(plain, list) else [(plain, hinted)]
    require(all(torch.equal(*pair) for pair in pairs), "the output is another one with hints.")
    require(set(found) == set(roles), f"of {', '.join(roles)} it gives {', '.join(found)}.")
    for role, feature in zip(roles, alone, strict=True):
        same = torch.equal(copies[role], feature)
        require(same, f"hint {role} is another one alone: is it overwritten in place?")


def _costs(part: Part[Any]) -> None:
    network = _network(part, _side(part))
    if isinstance(network, Generator):
        found = network.cost()
    else:
        with torch.device("meta"):
            found = network.cost(torch.zeros(1, 6, _side(part), _side(part)))
    require(found.params > 0 and found.macs > 0, f"{found.params} parameters, {found.macs} MACs.")


def _widens(part: Part[Any]) -> None:
    narrow = _network(part, _side(part))
    try:
        wide = _network(part, _side(part), 4)
    except SuiteError as why:
        raise Unasked(str(why)) from why
    counts = [sum(x.numel() for x in network.parameters()) for network in (narrow, wide)]
    require(counts[1] > counts[0], f"{counts[0]} parameters at width 2, {counts[1]} at width 4.")


def _trains(part: Part[Any]) -> None:
    network = _network(part, _side(part))
    if not isinstance(network, Generator):
        raise Unasked("a generator is trained here.")
    _example(part, network, _side(part))
    width: Any = network.width
    plan = small_plan(
        architectures={"checked": {"architecture": part.name, **part.params}},
        methods={"hinton": {}},
        size=_side(part),
        widths=[width],
        teacher={"width": width, "budget": {"steps": 2}},
        task={"lambda_vgg": 0.0},
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        train_teachers(plan, store)
        for cell in students(plan):
            train_together([cell], plan, store)
            state = store.state(cell.key)
            require(state.status == "done", f"the student is {state.status}: {state.detail}")
