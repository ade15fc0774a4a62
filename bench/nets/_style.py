"""Encoder-decoders of photorealistic style transfer: what they have in common.

Block N of the encoder ends at level N, and block N of the decoder undoes it. Both are lists, so a
task can train one pair of blocks while the others stay. Levels are numbered from 1 in names and
from 0 in lists. Within a network images are [N, 3, H, W] in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.contracts.network import Generator
from bench.maths.count import Count, count
from bench.maths.high_frequency import doubled, high_frequency
from bench.maths.zca import zca
from bench.nets._blocks import ReflectionPad2d

LEVELS = 4
Skip = Any  # what a block of the encoder hands to its counterpart: a map, or several
Retouch = Callable[[int, Tensor, Tensor], Tensor]  # level from 0, content's map, style's map


class Codes(NamedTuple):
    """What an encoder made of images."""

    features: list[Tensor]  # [N, C, H, W] per level
    skips: list[Skip]


class Block(NamedTuple):
    """What a pair of blocks, and all that lie outside of it, made of images."""

    image: Tensor  # [N, 3, H, W], the reconstruction, not clamped
    feature: Tensor  # the encoder's at this level
    below: Tensor | None  # the encoder's one level before: what the decoder's block is to return
    decoded: Tensor | None  # what it returned


class EncoderBlock(nn.Module):
    """Layers, and the high frequencies of what goes into them.

    Args:
        layers: in order.
        residual: what is handed to the decoder, of the block's input.
    """

    def __init__(
        self, *layers: nn.Module, residual: Callable[[Tensor], Skip] = high_frequency
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.residual = residual

    def forward(self, x: Tensor) -> tuple[Tensor, Skip]:
        """[N, C, H, W] -> the map of this level, and the skip."""
        return self.layers(x), self.residual(x)


class DecoderBlock(nn.Module):
    """Layers into which the encoder's high frequencies are added, or put as further channels."""

    def __init__(self, before: nn.Module, after: nn.Module, *, adds: bool = True) -> None:
        super().__init__()
        self.before, self.after, self.adds = before, after, adds

    def forward(self, z: Tensor, skip: Skip) -> Tensor:
        """[N, C, H, W] and the skip -> the map of the level before, or the image."""
        x = self.before(z)
        found: Tensor = self.after(x + skip if self.adds else torch.cat([x, skip], 1))
        return found


class Doubled(nn.Module):
    """Bilinear enlargement to twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]."""
        return doubled(x)


def conv(before: int, after: int, *, relu: bool = True) -> nn.Sequential:
    """Return a 3 x 3 convolution with bias over reflected borders, and its ReLU."""
    layers: list[nn.Module] = [ReflectionPad2d(1), nn.Conv2d(before, after, 3)]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class StyleNet(Generator):
    """An encoder of four blocks, a decoder of four, and what is done to the maps between.

    With one image as input it makes that image again: [N, 3, S, S] in [-1, 1] -> the same, not
    clamped. With two it makes the first in the style of the second, which may differ in size.
    `variance` is the mean variance of a level's channels over the training images, 1 until it is
    trained: a ridge of the transforms is relative to it.
    """

    taps = {"relu1": 1, "relu2": 2, "relu3": 3, "relu4": 4}
    multiple = 8
    widths = 4
    parts = {"encode": "encoder", "decode": "decoder"}
    rest = "transform"
    encoder: nn.ModuleList
    decoder: nn.ModuleList
    variance: Tensor

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self.register_buffer("variance", torch.ones(LEVELS))

    def initialise(self) -> None:
        """Draw Glorot's uniform weights, biases 0: the default of the papers' framework."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return a content and a style of zeros, both of one size."""
        return super().example(batch, sides) * 2

    def forward(  # type: ignore[override]  # its inputs are one image or two
        self, x: Tensor, style: Tensor | None = None, hints: Sequence[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the image again or in another's style, and the content's levels by role."""
        content = (x + 1) / 2
        found = {}
        if hints:
            features = self.encode(content).features
            found = {role: features[self.taps[role] - 1] for role in hints}
        image = (
            self.block(content, LEVELS).image
            if style is None
            else self.stylise(content, (style + 1) / 2)
        )
        return 2 * image - 1, found

    def encode(self, images: Tensor, depth: int = LEVELS) -> Codes:
        """Return the maps of levels 1 to `depth`."""
        codes, x = Codes([], []), images
        for block in list(self.encoder)[:depth]:
            x, skip = block(x)
            codes.features.append(x)
            codes.skips.append(skip)
        return codes

    def block(self, images: Tensor, depth: int) -> Block:
        """Encode images up to a level and decode them again."""
        codes = self.encode(images, depth)
        x, decoded = codes.features[-1], None
        for level in reversed(range(depth)):
            x = self.decoder[level](x, codes.skips[level])
            if level == depth - 1 and level:
                decoded = x
        below = codes.features[-2] if depth > 1 else None
        return Block(x, codes.features[-1], below, decoded)

    def transfer(self, content: Tensor, style: Tensor, retouch: Retouch) -> Tensor:
        """Decode the content from the coarsest level on; each level's map is retouched first."""
        codes, wanted = self.encode(content), self.encode(style).features
        x = codes.features[-1]
        for level in reversed(range(LEVELS)):
            x = self.decoder[level](retouch(level, x, wanted[level]), codes.skips[level])
        return x

    def stylise(self, content: Tensor, style: Tensor, ridge: float = 1.0) -> Tensor:
        """Return the content in the style's colours and textures, not clamped.

        Args:
            content: [N, 3, H, W] in [0, 1], sides of `multiple` pixels.
            style: likewise; its sides may be others.
            ridge: of the whitening and colouring, in units of `variance`.
        """

        def retouch(level: int, x: Tensor, wanted: Tensor) -> Tensor:
            return zca(x, wanted, ridge * self.variance[level].double())

        return self.transfer(content, style, retouch)

    def cost(self, *inputs: Tensor) -> Count:
        """Count the convolutions of one stylisation: both encodings and the decoding.

        The transforms between are left out, since sizes are of networks: at a level of c channels
        each covariance takes c^2 multiplications per position, and so does the colouring.
        """
        with torch.device("meta"):
            twin = self.twin()
            return count(_Plain(twin), *(inputs or twin.example()))


class _Plain(nn.Module):
    """A stylisation without its transforms, to be counted."""

    def __init__(self, network: StyleNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return self.network.transfer(content, style, lambda level, x, wanted: x)
