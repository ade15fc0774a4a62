"""Source models of style transfer: their encoders do not train, and their features have a scale.

Losses that compare features depend on their scale, and so does the strength of a transfer. What a
source's channels are divided by is found on the training images and folded into the weights, so
that the features of a trained checkpoint need nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from bench.nets._style import LEVELS, StyleNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's expects
FLOOR = 0.1  # of the mean over channels: a channel that is rarely active is not blown up beyond it


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a module, in order."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@torch.no_grad()
def normalise_input(network: StyleNet) -> None:
    """Let the 1x1 convolution before all others subtract ImageNet's mean and divide by its std."""
    first = convolutions(network.encoder)[0]
    mean, std = (torch.tensor(v) for v in (MEAN, STD))
    assert first.bias is not None
    first.weight.copy_(torch.diag(1 / std)[:, :, None, None])
    first.bias.copy_(-mean / std)


def channel_means(network: StyleNet, inputs: Iterable[tuple[Tensor, ...]]) -> list[Tensor]:
    """Return the mean of each channel of each level over images: [C] float64 per level."""
    return [mean for mean, _ in _statistics(network, inputs)]


def level_variances(network: StyleNet, inputs: Iterable[tuple[Tensor, ...]]) -> list[Tensor]:
    """Return the variance over space of each level, its mean over channels and images: []."""
    return [variance for _, variance in _statistics(network, inputs)]


def _statistics(
    network: StyleNet, inputs: Iterable[tuple[Tensor, ...]]
) -> list[tuple[Tensor, Tensor]]:
    sums: list[list[Tensor]] = [[] for _ in range(2 * LEVELS)]
    for images, *_ in inputs:
        for level, feature in enumerate(network.encode((images + 1) / 2).features):
            x = feature.double()
            sums[2 * level].append(x.mean((2, 3)))
            sums[2 * level + 1].append(x.var((2, 3), correction=0).mean(1))
    found = [torch.cat(parts).mean(0) for parts in sums]
    return list(zip(found[::2], found[1::2], strict=True))


def floored(means: Tensor) -> Tensor:
    """Return the means of channels, at least a tenth of their own mean: [C] -> [C]."""
    return means.clamp_min(FLOOR * means.mean().item())


@torch.no_grad()
def divide(blocks: Sequence[nn.Module], divisors: Sequence[Tensor]) -> None:
    """Divide each level's channels by numbers, and let what follows see them as they were.

    A ReLU lets a positive factor pass, so weights and biases before it are divided and the weights
    after it multiplied.

    Args:
        blocks: of the encoder.
        divisors: [C] or [], above 0, per level.
    """
    for level, (block, by) in enumerate(zip(blocks, divisors, strict=True)):
        last = convolutions(block)[-1]
        factor = by.to(last.weight.dtype).expand(last.out_channels)
        last.weight.div_(factor[:, None, None, None])
        if last.bias is not None:
            last.bias.div_(factor)
        if level + 1 < len(blocks):
            after = convolutions(blocks[level + 1])[0]
            per_input = factor[:, None] if after.groups > 1 else factor[None, :]
            after.weight.mul_(per_input[:, :, None, None])
