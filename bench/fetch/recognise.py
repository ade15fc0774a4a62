"""What a file of weights is: which architectures fit it, of which width and norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Discriminator, Generator, Network
from bench.errors import DistillbenchError
from bench.fetch.naming import Fit, best_fit, fits

PROBES = 8, 16  # widths by which one learns which dimensions grow with the width
SIZES = (256, 128, 64, 32)  # images at which a network's depth may differ
LEAST = 0.5  # of a network's names, or of the file's, below which it is not looked at further
ROLES = ("generator", "discriminator")


class Candidate(NamedTuple):
    """A network that a file may be of."""

    architecture: str
    role: str
    params: Mapping[str, Any]  # that differ from its defaults
    width: int
    size: int  # image side
    seen: int  # channels of its input
    weights: int  # numbers in all
    fit: Fit
    also: tuple[str, ...]  # prefixes of others in the same file that fit as well

    @property
    def said(self) -> str:
        """What a suite would say of it."""
        given = "".join(f", {name}: {value}" for name, value in self.params.items())
        return f"{self.architecture}, width {self.width}{given}, for images of {self.size} pixels"


def recognise(tensors: Mapping[str, Tensor], size: int = SIZES[0]) -> list[Candidate]:
    """Return the networks that may be in a file, the best fit first; those that fit have no fault.

    Args:
        tensors: name -> tensor, as `read_tensors` returns them.
        size: image side that is tried first; a U-Net's depth depends on it.
    """
    found = []
    for name in NETWORK.names():
        declared = NETWORK.declaration(name, name).says
        if declared.role in ROLES and declared.widths == 1:
            found += [
                c for given in _norms(declared) if (c := _closest(name, given, size, tensors))
            ]
    return sorted(found, key=lambda candidate: candidate.fit.faults)


def _norms(declared: type[Network]) -> Iterator[dict[str, Any]]:
    """Yield the parameters to try: each norm, if there is a choice."""
    norms = [norm for norm in declared.choices.get("norm", ()) if norm is not None]
    usual = declared.defaults.get("norm")
    yield {}
    yield from ({"norm": norm} for norm in norms if norm != usual)


def _closest(
    name: str, given: Mapping[str, Any], size: int, tensors: Mapping[str, Tensor]
) -> Candidate | None:
    """Return a network at the size where it fits best; None if the names are another's."""
    found = []
    for side in dict.fromkeys((size, *SIZES)):
        try:
            candidate = _at(name, given, side, tensors)
        except (DistillbenchError, RuntimeError, ValueError):  # it has no such size or width
            continue
        if candidate is None:
            break
        found.append(candidate)
        if not candidate.fit.faults:
            break
    return min(found, key=lambda candidate: candidate.fit.faults, default=None)


def _at(
    name: str, given: Mapping[str, Any], size: int, tensors: Mapping[str, Tensor]
) -> Candidate | None:
    """Return a network at one size, with the width that the shapes of the tensors tell."""
    part = NETWORK.part(name, dict(given), name)
    role, seen = part.declared.role, 3

    def build(width: int) -> Network:
        with torch.device("meta"):
            if role == "generator":
                return cast(type[Generator], part.load())(width, size, part.params)
            return cast(type[Discriminator], part.load())(width, seen, part.params)

    small, large = (build(width) for width in PROBES)
    fit = best_fit(small, tensors)
    wanted = small.state_dict()
    if len(fit.state) - len(fit.filled) < LEAST * min(len(wanted), len(tensors)):
        return None
    if role == "discriminator":
        first = next(n for n, x in wanted.items() if x.ndim == 4)
        kernel = fit.state.get(first)
        seen = kernel.shape[1] if kernel is not None and kernel.ndim == 4 else seen
    width = _width(wanted, large.state_dict(), fit.state)
    if not width:
        return None
    network = build(width)
    weights = sum(p.numel() for p in network.parameters())
    best, *others = sorted(fits(network, tensors), key=lambda fit: fit.faults)
    also = tuple(f.prefix for f in others if not f.faults and f.prefix != best.prefix)
    return Candidate(name, role, given, width, size, seen, weights, best, also)


def _width(
    small: Mapping[str, Tensor], large: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> int:
    """Return the width at which the first dimension that grows with it is as found; 0: none is."""
    least, most = PROBES
    for name, x in found.items():
        for low, high, actual in zip(small[name].shape, large[name].shape, x.shape, strict=False):
            if low * most == high * least != 0 and low != high:
                width, rest = divmod(actual * least, low)
                return 0 if rest else width
    return 0
