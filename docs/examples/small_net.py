"""A small generator: two convolutions down, three blocks, two up."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from bench.contracts.network import Generator


class Block(nn.Module):
    """x + two normed convolutions of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*normed(channels, channels), *normed(channels, channels)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def normed(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    """Return a 3x3 convolution, instance norm, ReLU."""
    return [nn.Conv2d(before, after, 3, stride, 1), nn.InstanceNorm2d(after), nn.ReLU()]


class SmallNet(Generator):
    """[N, 3, S, S] in [-1, 1] -> the same; widths are n, 2n and, in the middle, 4n."""

    source = "an example"
    taps = {"down": 8, "mid1": 9, "mid2": 10, "up": 15}  # role of a hint -> layer of `model`
    multiple = 4  # of the image side

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        n = width
        self.model = nn.Sequential(
            *normed(3, n), *normed(n, 2 * n, 2), *normed(2 * n, 4 * n, 2),
            Block(4 * n), Block(4 * n), Block(4 * n),
            nn.Upsample(scale_factor=2), *normed(4 * n, 2 * n),
            nn.Upsample(scale_factor=2), *normed(2 * n, n),
            nn.Conv2d(n, 3, 7, 1, 3), nn.Tanh(),
        )  # fmt: skip
