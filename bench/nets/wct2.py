"""WCT2: VGG-19 up to relu4_1 with wavelets in the place of pooling and enlarging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.nets._style import LEVELS, Codes, Retouch, Skip, StyleNet, conv

BANDS = ((1.0, 1.0), (-1.0, 1.0))  # low and high of one axis, each over the square root of 2


class WCT2(StyleNet):
    """`cat5`: the decoder sees all four bands and the encoder's map, as five times the channels.

    Maps are retouched from fine to coarse within the encoder, on their way into the low band, and
    again by nobody in the decoder. 10,121,871 parameters at (64, 128, 256, 512), of which 14,336
    are Haar's kernels, which do not train.
    """

    source = "Yoo et al., ICCV 2019; clovaai/WCT2 at 22b16df7, option_unpool cat5"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        a, b, c, d = width
        before = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.encoder = nn.ModuleList(
            [
                _Encoder(nn.Sequential(before, conv(3, a)), None, nn.Identity()),
                _Encoder(conv(a, a), a, conv(a, b)),
                _Encoder(conv(b, b), b, conv(b, c)),
                _Encoder(nn.Sequential(conv(c, c), conv(c, c), conv(c, c)), c, conv(c, d)),
            ]
        )
        self.decoder = nn.ModuleList(
            [
                _Decoder(conv(a, 3, relu=False), None, nn.Identity()),
                _Decoder(conv(b, a), a, conv(5 * a, a)),
                _Decoder(conv(c, b), b, conv(5 * b, b)),
                _Decoder(conv(d, c), c, nn.Sequential(conv(5 * c, c), conv(c, c), conv(c, c))),
            ]
        )

    def initialise(self) -> None:
        """Draw Glorot's uniform weights, but for Haar's kernels."""
        super().initialise()
        for module in self.modules():
            if isinstance(module, _Haar):
                module.set()

    def transfer(self, content: Tensor, style: Tensor, retouch: Retouch) -> Tensor:
        """Retouch each level's map before the next is made of it, then decode."""
        codes, wanted, x = Codes([], []), self.encode(style).features, content
        for level, block in enumerate(self.encoder):
            x, skip = block(x)
            x = retouch(level, x, wanted[level])
            codes.skips.append(skip)
        for level in reversed(range(LEVELS)):
            x = self.decoder[level](x, codes.skips[level])
        return x


class _Haar(nn.ModuleList):
    """Four depthwise kernels of 2 x 2 at stride 2: LL, LH, HL, HH."""

    def __init__(self, kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], channels: int) -> None:
        layers = [kind(channels, channels, 2, 2, groups=channels, bias=False) for _ in range(4)]
        super().__init__(layers)
        self.requires_grad_(False)
        self.set()

    def set(self) -> None:
        """Put Haar's values in place."""
        kernels = [torch.outer(*map(torch.tensor, (r, c))) / 2 for r in BANDS for c in BANDS]
        with torch.no_grad():
            for weight, kernel in zip(self.parameters(), kernels, strict=True):
                weight.copy_(kernel.expand_as(weight))


class _Encoder(nn.Module):
    """Layers, Haar's pooling, and layers on the low band; the rest goes to the decoder."""

    def __init__(self, before: nn.Module, channels: int | None, after: nn.Module) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.pool = _Haar(nn.Conv2d, channels) if channels else None

    def forward(self, x: Tensor) -> tuple[Tensor, Skip]:
        """[N, C, H, W] -> the map of this level, and the high bands with the map they are of."""
        x = self.before(x)
        if self.pool is None:
            return self.after(x), None
        low, *high = (layer(x) for layer in self.pool)
        return self.after(low), (*high, x)


class _Decoder(nn.Module):
    """A convolution, Haar's transposed pooling band by band, and layers on all of them."""

    def __init__(self, before: nn.Module, channels: int | None, after: nn.Module) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.unpool = _Haar(nn.ConvTranspose2d, channels) if channels else None

    def forward(self, z: Tensor, skip: Skip) -> Tensor:
        """[N, C, H, W] and the skip -> the map of the level before, or the image."""
        x = self.before(z)
        if self.unpool is not None:
            *high, encoded = skip
            bands = [layer(band) for layer, band in zip(self.unpool, (x, *high), strict=True)]
            x = torch.cat([*bands, encoded], 1)
        found: Tensor = self.after(x)
        return found
