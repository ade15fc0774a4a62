"""A narrow network that starts from a wide one's strongest channels.

The rule of GAN Compression: of each convolution the output channels with the largest L1 norm are
kept, measured over the input channels that are kept. What one layer keeps is what the next one
reads; norms keep what they are handed. Its code does so for its ResNets; here U-Nets are treated by
the same rule.

A block with a wiring of its own (a residual one) has a method `inherit` that says what it keeps;
all else is walked layer by layer.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Wired(Protocol):
    """A module with a wiring of its own."""

    def inherit(self, teacher: Any, kept: Tensor) -> Tensor:
        """As `walk`, for this module and the teacher's."""
        ...


@torch.no_grad()
def walk(
    student: nn.Module, teacher: nn.Module, kept: Tensor, last: Tensor | None = None
) -> Tensor:
    """Copy the teacher's strongest channels into the student; return those that come out.

    Args:
        student: its weights are overwritten.
        teacher: the same layers, at least as wide.
        kept: [C] indices of the teacher's channels that the student's input stands for.
        last: indices that the last convolution has to keep; None: its strongest.
    """
    mine, theirs = _layers(student), _layers(teacher)
    dense = [i for i, layer in enumerate(mine) if _is_dense(layer)]
    for index, (narrow, wide) in enumerate(zip(mine, theirs, strict=True)):
        forced = last if dense and index == dense[-1] else None
        kept = _inherit(narrow, wide, kept, forced)
    return kept


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers of nested `nn.Sequential`s in order."""
    found = []
    for child in module.children():
        found += _layers(child) if isinstance(child, nn.Sequential) else [child]
    return found


def _is_dense(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ConvTranspose2d) or (
        isinstance(layer, nn.Conv2d) and layer.groups == 1
    )


def _inherit(narrow: nn.Module, wide: nn.Module, kept: Tensor, forced: Tensor | None) -> Tensor:
    """Copy one layer; return the indices of the teacher's channels that it puts out."""
    if isinstance(narrow, Wired):
        return narrow.inherit(wide, kept)
    state = wide.state_dict()
    if _is_dense(narrow):
        weight = state["weight"]
        inputs, outputs = (0, 1) if isinstance(narrow, nn.ConvTranspose2d) else (1, 0)
        count = narrow.state_dict()["weight"].shape[outputs]
        weight = weight.index_select(inputs, kept)
        kept = _strongest(weight.transpose(0, outputs), count) if forced is None else forced
        state["weight"] = weight.index_select(outputs, kept)
        if "bias" in state:
            state["bias"] = state["bias"][kept]
    else:  # depthwise, norm, or without weights: what comes in goes out
        state = {name: x[kept] if x.ndim else x for name, x in state.items()}
    narrow.load_state_dict(state)
    return kept


def _strongest(weight: Tensor, count: int) -> Tensor:
    """Return the indices, in order, of the `count` rows of a weight with the largest L1 norm."""
    norms = weight.abs().sum((1, 2, 3))
    return norms.topk(count).indices.sort().values
