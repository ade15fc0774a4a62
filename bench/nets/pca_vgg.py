"""PCA-KD's VGG student: one encoder-decoder of VGG-19's layout up to relu4_1, at any widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bench.nets._style import DecoderBlock, Doubled, EncoderBlock, StyleNet, conv


class PCAVGG(StyleNet):
    """VGG-19's layout with widths of its own; (10, 20, 58, 64) is the paper's, 283,236 parameters.

    Maximum pooling, reflected borders, bilinear enlargement. The high-frequency residual of what
    enters a block of the encoder is added before the last convolution of the decoder's block; the
    image's own becomes three further channels of the last one. The 1x1 convolution before all
    others is drawn and never trained: in the released student it is a random matrix, and its twelve
    numbers are among the paper's 283,236.
    """

    source = (
        "Chiu & Gurari, CVPR 2022, Figure 3; chiutaiyin/PCA-Knowledge-Distillation at 2651cd16, "
        "whose released weights it takes"
    )

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        a, b, c, d = width
        pool = nn.MaxPool2d(2)
        before = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.encoder = nn.ModuleList(
            [
                EncoderBlock(before, conv(3, a)),
                EncoderBlock(conv(a, a), pool, conv(a, b)),
                EncoderBlock(conv(b, b), pool, conv(b, c)),
                EncoderBlock(conv(c, c), conv(c, c), conv(c, c), pool, conv(c, d)),
            ]
        )
        self.decoder = nn.ModuleList(
            [
                DecoderBlock(nn.Identity(), conv(a + 3, 3, relu=False), adds=False),
                DecoderBlock(nn.Sequential(conv(b, a), Doubled()), conv(a, a)),
                DecoderBlock(nn.Sequential(conv(c, b), Doubled()), conv(b, b)),
                DecoderBlock(
                    nn.Sequential(conv(d, c), Doubled(), conv(c, c), conv(c, c)), conv(c, c)
                ),
            ]
        )
