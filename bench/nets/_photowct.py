"""Blocks of PhotoWCT2's layout, and networks that cascade one encoder-decoder per level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from bench.maths.high_frequency import pooled_residual
from bench.nets._style import (
    LEVELS,
    Block,
    Codes,
    DecoderBlock,
    Doubled,
    Retouch,
    Skip,
    StyleNet,
    conv,
)


class _Pooling(nn.Module):
    """Layers up to a pooling and after it; what the average pooling loses goes to the decoder."""

    def __init__(self, before: Sequence[nn.Module], after: nn.Module) -> None:
        super().__init__()
        self.before, self.after = nn.Sequential(*before), after

    def forward(self, x: Tensor) -> tuple[Tensor, Skip]:
        """[N, C, H, W] -> the map of this level, half as large, and the residual."""
        x = self.before(x)
        return self.after(F.avg_pool2d(x, 2)), pooled_residual(x)


class _First(nn.Module):
    """The first level, which nothing is pooled for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        before = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.layers = nn.Sequential(before, conv(3, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Skip]:
        """[N, 3, H, W] -> the map of the first level, and nothing for the decoder."""
        return self.layers(x), None


class _Last(nn.Module):
    """The last convolution, to which the encoder hands nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = conv(channels, 3, relu=False)

    def forward(self, z: Tensor, skip: Skip) -> Tensor:
        """[N, C, H, W] -> the image."""
        image: Tensor = self.layer(z)
        return image


def encoders(width: Sequence[int]) -> list[nn.Module]:
    """Return the encoder's blocks down to level `len(width)`, of VGG-19's layout."""
    return [_First(width[0]), *(_pooling(level, width) for level in range(1, len(width)))]


def _pooling(level: int, width: Sequence[int]) -> _Pooling:
    c = width[level - 1]
    return _Pooling([conv(c, c) for _ in range(_depth(level))], conv(c, width[level]))


def decoders(width: Sequence[int]) -> list[nn.Module]:
    """Return the decoder's blocks, the last to run first."""
    blocks: list[nn.Module] = [_Last(width[0])]
    for level in range(1, len(width)):
        c = width[level - 1]
        before = nn.Sequential(conv(width[level], c), Doubled())
        blocks.append(
            DecoderBlock(before, nn.Sequential(*(conv(c, c) for _ in range(_depth(level)))))
        )
    return blocks


def _depth(level: int) -> int:
    """Return how many convolutions VGG-19 has before the pooling that leads to a level."""
    return 3 if level == LEVELS - 1 else 1


class Cascade(StyleNet):
    """An encoder-decoder for each level: the image is stylised at the coarsest, then at the next.

    The block N of encoder and decoder is a whole encoder-decoder of N blocks.
    """

    def __init__(
        self, widths: Sequence[Sequence[int]], size: int, params: Mapping[str, Any]
    ) -> None:
        super().__init__(tuple(widths[-1]), size, params)
        self.encoder = nn.ModuleList(nn.ModuleList(encoders(w)) for w in widths)
        self.decoder = nn.ModuleList(nn.ModuleList(decoders(w)) for w in widths)

    def encode(self, images: Tensor, depth: int = LEVELS) -> Codes:
        """Return each encoder's own map, and all that it hands to its decoder."""
        codes = Codes([], [])
        for number in range(depth):
            feature, skips = self._encode(images, number)
            codes.features.append(feature)
            codes.skips.append(skips)
        return codes

    def block(self, images: Tensor, depth: int) -> Block:
        """Encode and decode images with the encoder-decoder of one level."""
        feature, skips = self._encode(images, depth - 1)
        return Block(self._decode(feature, skips, depth - 1), feature, None, None)

    def transfer(self, content: Tensor, style: Tensor, retouch: Retouch) -> Tensor:
        """Stylise level after level, the coarsest first; each sees what the last one made."""
        x, wanted = content, self.encode(style).features
        for level in reversed(range(LEVELS)):
            feature, skips = self._encode(x, level)
            x = self._decode(retouch(level, feature, wanted[level]), skips, level)
        return x

    def _encode(self, images: Tensor, number: int) -> tuple[Tensor, list[Skip]]:
        x, skips = images, []
        for block in self._blocks(self.encoder[number]):
            x, skip = block(x)
            skips.append(skip)
        return x, skips

    def _decode(self, z: Tensor, skips: Sequence[Skip], number: int) -> Tensor:
        blocks = self._blocks(self.decoder[number])
        for block, skip in zip(reversed(blocks), reversed(skips), strict=True):
            z = block(z, skip)
        return z

    def _blocks(self, blocks: nn.Module) -> list[nn.Module]:
        return list(blocks.children())
