"""The 70x70 PatchGAN discriminator of Pix2Pix and CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bench.contracts.network import Discriminator
from bench.nets._blocks import norm


class PatchGAN(Discriminator):
    """Five 4x4 convolutions, three of them strided: each logit judges a 70x70 patch.

    `norm` defaults to the generator's own, as in the original code, which has one option for
    both. First and last convolution have biases, the others where the norm is instance norm.
    """

    defaults = {"norm": None, "padding": 1}
    choices = {"norm": (None, "batch", "instance"), "padding": (1, 2)}
    source = "Isola et al., CVPR 2017"

    def __init__(self, width: int, in_channels: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, in_channels, params)
        kind, pad = params["norm"] or "instance", params["padding"]
        bias = kind == "instance"
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, width, 4, 2, pad),
            nn.LeakyReLU(0.2),
        ]
        for c, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += [
                nn.Conv2d(c, 2 * c, 4, stride, pad, bias=bias),
                norm(kind, 2 * c),
                nn.LeakyReLU(0.2),
            ]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, pad))

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return junyanz' names."""
        return {"junyanz": {name: name for name in self.state_dict()}}
