"""Tensors by the names of other people's code become a network's own state, or the reason why not.

Which names these are is the network's own business (`Network.layouts`). Prefixes that a wrapper
adds, such as `module.` or `netG.`, are found by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contracts.network import Network
from bench.errors import WeightsError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of norms


class Fit(NamedTuple):
    """How a network reads a file's tensors."""

    layout: str
    prefix: str  # before each name, with its dot; "" for none
    state: dict[str, Tensor]  # by the network's own names and types, whatever their shapes
    missing: tuple[str, ...]  # names as the file would have them
    unexpected: tuple[str, ...]
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]  # name, wanted, found
    mistyped: tuple[
        tuple[str, torch.dtype], ...
    ]  # name, found: no floats where the network has some
    dropped: tuple[str, ...]  # statistics of norms that have none here
    filled: tuple[str, ...]  # counts of batches, which old files lack

    @property
    def faults(self) -> int:
        """How many tensors do not fit."""
        parts = (self.missing, self.unexpected, self.misshapen, self.mistyped)
        return sum(map(len, parts))

    @property
    def said(self) -> str:
        """How the file was read, as a person would say it."""
        found = [f"names of {self.layout}"]
        found += [f"after {self.prefix!r}"] if self.prefix else []
        found += (
            [f"{len(self.dropped)} statistics of instance norm dropped"] if self.dropped else []
        )
        found += [f"{len(self.filled)} counts of batches set to 0"] if self.filled else []
        return ", ".join(found)

    @property
    def fault(self) -> str:
        """The first tensor that does not fit, and how; "" where all do."""
        if self.missing:
            return f"{self.missing[0]} is missing ({len(self.missing)} in all)"
        if self.misshapen:
            name, wanted, found = self.misshapen[0]
            return f"{name} is {list(found)}, should be {list(wanted)}"
        if self.mistyped:
            name, dtype = self.mistyped[0]
            return f"{name} is {str(dtype).removeprefix('torch.')}, should be of floats"
        if self.unexpected:
            return f"{self.unexpected[0]} is unexpected ({len(self.unexpected)} in all)"
        return ""


def fits(network: Network, tensors: Mapping[str, Tensor]) -> list[Fit]:
    """Return how a network reads the tensors in each of its layouts, after each prefix.

    Args:
        network: on any device, torch's meta device included.
        tensors: name -> tensor, as `read_tensors` returns them.
    """
    own = network.state_dict()
    found = []
    for layout, names in network.layouts().items():
        for prefix in _prefixes(tensors, names.values()):
            found.append(_fit(own, layout, names, prefix, tensors))
    return found


def best_fit(network: Network, tensors: Mapping[str, Tensor]) -> Fit:
    """Return the fit with the fewest faults, whether or not it has any."""
    return min(fits(network, tensors), key=lambda fit: fit.faults)


def state_of(network: Network, tensors: Mapping[str, Tensor], where: str) -> Fit:
    """Return the fit of a network that reads every tensor.

    Raises:
        WeightsError: the first tensor that is missing, misshapen, unexpected or not finite; or
            several networks in one file fit.
    """
    found = fits(network, tensors)
    whole = [fit for fit in found if not fit.faults]
    if len({fit.prefix for fit in whole}) > 1:
        prefixes = ", ".join(sorted(repr(fit.prefix) for fit in whole))
        raise WeightsError(f"{where}: holds several that fit, {prefixes}; save the one alone.")
    if not whole:
        fault = min(found, key=lambda fit: fit.faults).fault
        raise WeightsError(f"{where}: does not fit: {fault}.")
    names = network.layouts()[whole[0].layout]
    for mine, x in whole[0].state.items():
        if not torch.isfinite(x).all():
            raise WeightsError(f"{where}: {whole[0].prefix}{names[mine]} is not finite.")
    return whole[0]


def to_original(network: Network, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's state by the names of the official code, the first of its layouts."""
    names = next(iter(network.layouts().values()))
    return {names[name]: x for name, x in state.items()}


def _prefixes(tensors: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    """Return what stands in front of names that a layout has, the most frequent first."""
    counts: dict[str, int] = {}
    for name in names:
        for found in tensors:
            if found == name or found.endswith(f".{name}"):
                prefix = found.removesuffix(name)
                counts[prefix] = counts.get(prefix, 0) + 1
    return sorted(counts, key=lambda prefix: -counts[prefix]) or [""]


def _fit(
    own: Mapping[str, Tensor],
    layout: str,
    names: Mapping[str, str],
    prefix: str,
    tensors: Mapping[str, Tensor],
) -> Fit:
    here = {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
    wanted = set(names.values())
    dropped = [n for n in here if n not in wanted and n.rpartition(".")[2] in STATISTICS]
    state, missing, misshapen, mistyped, filled = {}, [], [], [], []
    for mine, theirs in names.items():
        if theirs in here:
            state[mine] = here[theirs].to(own[mine].dtype)
            shapes = tuple(own[mine].shape), tuple(here[theirs].shape)
            if shapes[0] != shapes[1]:
                misshapen.append((theirs, *shapes))
            if own[mine].is_floating_point() and not here[theirs].is_floating_point():
                mistyped.append((theirs, here[theirs].dtype))
        elif theirs.endswith(".num_batches_tracked"):
            filled.append(theirs)
            state[mine] = torch.zeros((), dtype=torch.long)
        else:
            missing.append(theirs)
    unexpected = [n for n in here if n not in wanted and n not in dropped]
    parts = (missing, unexpected, misshapen, mistyped, dropped, filled)
    return Fit(layout, prefix, state, *map(tuple, parts))  # type: ignore[arg-type]
