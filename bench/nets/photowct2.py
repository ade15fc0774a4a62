"""PhotoWCT2: VGG-19 up to relu4_1 as one encoder, and a decoder trained block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bench.nets._photowct import decoders, encoders
from bench.nets._style import StyleNet


class PhotoWCT2(StyleNet):
    """Average pooling, whose residual is added right after the decoder enlarges.

    Width (64, 128, 256, 512) is VGG-19's: 7,010,959 parameters. The paper that compares with it
    prints 7.05M, which no variant of the released code has (-0.55 %).
    """

    source = "Chiu & Gurari, WACV 2022; chiutaiyin/PhotoWCT2 at 533b5da6"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self.encoder = nn.ModuleList(encoders(width))
        self.decoder = nn.ModuleList(decoders(width))
