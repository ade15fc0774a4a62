"""A small U-Net that segments photographs, for mIoU without a published segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Generator

LEVELS = 3


class SmallSegmenter(Generator):
    """Two 3x3 convolutions per level, three levels, skips by concatenation; logits per class.

    Widths are n, 2n, 4n; batch norm and ReLU after each convolution; bilinear upsampling.
    """

    defaults = {"classes": 2}
    source = "Ronneberger et al. (U-Net), MICCAI 2015, made small"
    role = "segmenter"
    multiple = 4

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        widths = [width * 2**level for level in range(LEVELS)]
        self.downs = nn.ModuleList(
            _convolutions(above, c) for above, c in zip([3, *widths], widths, strict=False)
        )
        self.ups = nn.ModuleList(_convolutions(3 * c, c) for c in widths[:-1])
        self.head = nn.Conv2d(width, params["classes"], 1)

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """[N, 3, S, S] in [-1, 1] -> logits [N, classes, S, S]."""
        skips = []
        for level, down in enumerate(self.downs):
            x = down(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for up, skip in zip(reversed(self.ups), reversed(skips[:-1]), strict=True):
            x = up(torch.cat([skip, F.interpolate(x, scale_factor=2.0, mode="bilinear")], 1))
        return self.head(x), {}


def _convolutions(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
