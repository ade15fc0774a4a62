"""One line: which network this is, and whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from bench.contracts.network import Generator


class Template(Generator):
    """How it is built; where it differs from its paper or code, and why.

    This example halves the image, passes three residual blocks and doubles it again. `model` is one
    flat list of layers, so that hints are found by their place in it; a network that is none
    overrides `forward`.
    """

    defaults = {"norm": "batch"}  # what a suite may set, e.g. `template: {norm: instance}`
    choices = {"norm": ("batch", "instance")}
    source = "paper, table or figure; code"
    taps = {"down": 2, "mid1": 3, "mid2": 4, "up": 5}  # role of a hint -> layer of `model`
    multiple = 2  # the image side must be a multiple of this

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        norm = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}[params["norm"]]
        self.model = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            norm(width),
            nn.ReLU(),
            *(Block(width, norm(width)) for _ in range(3)),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Tanh(),
        )


class Block(nn.Module):
    """x + norm(conv(x))."""

    def __init__(self, width: int, norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        changed: Tensor = self.layers(x)
        return x + changed
