"""PCA-KD's MobileNet student: one encoder-decoder of MobileNet's layout, at any widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from bench.nets._style import DecoderBlock, Doubled, EncoderBlock, StyleNet, conv


class PCAMobile(StyleNet):
    """MobileNet v1's layout up to its sixth depthwise convolution; the paper's is (10, 19, 37, 54).

    A level is half the size of the one before, the first half the image's. No norms; a ReLU after
    every convolution but the last. Convolutions of stride 2 have reflected borders at the right and
    below only. The decoder's blocks enlarge first, then convolve with full kernels. 52,742
    parameters at the paper's widths; its 73K count the 20,096 entries of the eigenbases too, which
    training needs and the network does not.
    """

    source = (
        "Chiu & Gurari, CVPR 2022, section 4; chiutaiyin/PCA-Knowledge-Distillation at 2651cd16, "
        "whose released weights it takes"
    )
    multiple = 16

    activation: type[nn.Module] = nn.ReLU
    border = "reflect"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        a, b, c, d = width
        self.encoder = nn.ModuleList(
            [
                EncoderBlock(Centred(), self._spatial(3, a, 2, 1)),
                EncoderBlock(
                    self._spatial(a, a, 1, a), self._pointwise(a, b), self._spatial(b, b, 2, b)
                ),
                EncoderBlock(*self._separable(b, c), self._spatial(c, c, 2, c)),
                EncoderBlock(*self._separable(c, d), self._spatial(d, d, 2, d)),
            ]
        )
        self.decoder = nn.ModuleList(
            [
                DecoderBlock(Doubled(), conv(a + 3, 3, relu=False), adds=False),
                *(
                    DecoderBlock(nn.Sequential(Doubled(), conv(above, own)), conv(own, own))
                    for own, above in ((a, b), (b, c), (c, d))
                ),
            ]
        )

    def _spatial(self, before: int, after: int, stride: int, groups: int) -> nn.Sequential:
        """Return a 3 x 3 convolution; at stride 2 its border lies at the right and below only."""
        layer = nn.Conv2d(before, after, 3, stride, groups=groups)
        first = 1 if stride == 1 else 0
        return nn.Sequential(_Border(first, self.border), layer, self.activation())

    def _pointwise(self, before: int, after: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(before, after, 1), self.activation())

    def _separable(self, before: int, after: int) -> tuple[nn.Module, ...]:
        """Return pointwise, depthwise and pointwise: what MobileNet has between halvings."""
        spatial = self._spatial(after, after, 1, after)
        return self._pointwise(before, after), spatial, self._pointwise(after, after)


class Centred(nn.Module):
    """[0, 1] -> [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] -> the same."""
        return 2 * x - 1


class _Border(nn.Module):
    """One row and one column more on either side, or at the right and below only."""

    def __init__(self, first: int, mode: str) -> None:
        super().__init__()
        self.sides, self.mode = (first, 1, first, 1), mode

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 1 or 2, W + 1 or 2]."""
        return F.pad(x, self.sides, mode=self.mode)
