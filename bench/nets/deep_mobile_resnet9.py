"""OMGD's deeper teacher beside a mobile ResNet-9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bench.contracts.network import Generator
from bench.nets._blocks import ReflectionPad2d, expanded_residual, mobile_residual, norm
from bench.nets._names import with_dropout


class DeepMobileResNet9(Generator):
    """Mobile ResNet-9 with an expanded residual block and a convolution after each change of size.

    Two more expanded blocks stand among the nine mobile ones, after the fourth. OMGD's teacher has
    width 16 beside a student of 16 and a wider teacher of 64.
    """

    defaults = {"norm": "instance"}
    choices = {"norm": ("batch", "instance")}
    source = "Ren et al., ICCV 2021; bytedance/OMGD at f2492a44, mobile_resnet_deepest_generator.py"
    taps = {"down": 17, "mid1": 21, "mid2": 23, "up": 28}
    multiple = 4

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        kind = params["norm"]
        bias, c = kind == "instance", 4 * width

        def normed(conv: nn.Module, channels: int) -> list[nn.Module]:
            return [conv, norm(kind, channels), nn.ReLU()]

        def deepened(conv: nn.Module, channels: int) -> list[nn.Module]:
            again = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
            block = expanded_residual(channels, kind)
            return [*normed(conv, channels), block, *normed(again, channels)]

        layers = [ReflectionPad2d(3), *normed(nn.Conv2d(3, width, 7, bias=bias), width)]
        for n in (width, 2 * width):
            layers += deepened(nn.Conv2d(n, 2 * n, 3, stride=2, padding=1, bias=bias), 2 * n)
        layers += [mobile_residual(c, kind) for _ in range(4)]
        layers += [expanded_residual(c, kind) for _ in range(2)]
        layers += [mobile_residual(c, kind) for _ in range(5)]
        for n in (2 * width, width):
            up = nn.ConvTranspose2d(2 * n, n, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += deepened(up, n)
        layers += [ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return OMGD's names, whose blocks have a dropout, and its own."""
        return {"OMGD, DCD": with_dropout(self), **super().layouts()}
