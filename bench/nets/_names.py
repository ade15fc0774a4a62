"""How the official codes name what is in a residual block, where they name it otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from bench.nets._blocks import Residual

DROPOUT = "a dropout in each residual block"  # which has no weights, but takes an index


def with_dropout(network: nn.Module) -> dict[str, str]:
    """Return tensors' names where each block has a dropout after its last activation.

    A separable convolution's layers are in a module `conv` of their own, as GAN Compression has it.
    """
    return {name: _in_blocks(network, name) for name in network.state_dict()}


def _in_blocks(network: nn.Module, name: str) -> str:
    """Return a tensor's name with one more layer after the last activation of its block."""
    before, found, rest = name.partition(".conv_block.")
    if not found:
        return name
    block = network.get_submodule(before)
    assert isinstance(block, Residual)
    index, _, tail = rest.partition(".")
    last = max(i for i, layer in enumerate(block.conv_block) if isinstance(layer, nn.ReLU))
    number = int(index) + (int(index) > last)
    inner = "conv." if isinstance(block.conv_block[int(index)], nn.Sequential) else ""
    return f"{before}.conv_block.{number}.{inner}{tail}"


def renamed(names: Mapping[str, str], starts: Mapping[str, str]) -> dict[str, str]:
    """Return names with another start, that of the longest key of `starts` that fits."""
    found = {}
    for mine, theirs in names.items():
        start = max((s for s in starts if theirs.startswith(s)), key=len)
        found[mine] = starts[start] + theirs.removeprefix(start)
    return found
