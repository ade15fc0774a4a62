"""Layers that several architectures share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.maths.pruning import walk

NORMS = ("batch", "instance")


def norm(kind: str, channels: int) -> nn.Module:
    """Return affine batch norm or plain instance norm, as the original code configures them."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


class ReflectionPad2d(nn.ReflectionPad2d):
    """Reflection padding whose gradient is deterministic on CUDA too.

    torch has no deterministic kernel for the gradient of `reflection_pad2d` on CUDA
    (pytorch/pytorch issue 98208); flips and concatenations give the same values.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2p, W + 2p]."""
        if x.is_cuda and torch.are_deterministic_algorithms_enabled():
            return mirrored(x, self.padding[0])
        return super().forward(x)


def mirrored(x: Tensor, p: int) -> Tensor:
    """Reflect the last two dimensions by `p` from flips and concatenations alone."""
    for dim in (-1, -2):
        size = x.shape[dim]
        before = x.narrow(dim, 1, p).flip(dim)
        after = x.narrow(dim, size - 1 - p, p).flip(dim)
        x = torch.cat([before, x, after], dim)
    return x


class Residual(nn.Module):
    """A block that adds its input: x + block(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        changed: Tensor = self.conv_block(x)
        return x + changed

    def inherit(self, teacher: Residual, kept: Tensor) -> Tensor:
        """Start from a wider block; what it adds has to be the channels that it is added to."""
        return walk(self.conv_block, teacher.conv_block, kept, last=kept)


def residual(channels: int, kind: str, bias: bool) -> Residual:
    """Return the residual block of Johnson et al. as CycleGAN configures it."""
    conv = [
        ReflectionPad2d(1),
        nn.Conv2d(channels, channels, 3, bias=bias),
        norm(kind, channels),
    ]
    again = [
        ReflectionPad2d(1),
        nn.Conv2d(channels, channels, 3, bias=bias),
        norm(kind, channels),
    ]
    return Residual(*conv, nn.ReLU(), *again)


def separable(channels: int) -> nn.Sequential:
    """Return a depthwise and a pointwise convolution with an instance norm between.

    That norm is there, and both have biases, whatever the network's norm: GAN Compression forwards
    neither choice.
    """
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, groups=channels),
        norm("instance", channels),
        nn.Conv2d(channels, channels, 1),
    )


def mobile_residual(channels: int, kind: str) -> Residual:
    """Return the residual block of GAN Compression: separable convolutions."""
    conv = [ReflectionPad2d(1), separable(channels), norm(kind, channels)]
    again = [ReflectionPad2d(1), separable(channels), norm(kind, channels)]
    return Residual(*conv, nn.ReLU(), *again)


def expanded_residual(channels: int, kind: str) -> Residual:
    """Return the residual block of OMGD's deeper teachers, four times as wide within."""
    bias, wide = kind == "instance", 4 * channels

    def conv(inner: int, outer: int, side: int) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, side, bias=bias), norm(kind, outer)]

    return Residual(
        ReflectionPad2d(1),
        *conv(channels, wide, 1),
        nn.ReLU(),
        *conv(wide, wide, 3),
        nn.ReLU(),
        *conv(wide, channels, 1),
        nn.ReLU(),
        ReflectionPad2d(1),
        *conv(channels, channels, 3),
    )


def encoder_decoder(width: int, downs: int, blocks: list[Residual], kind: str) -> nn.Sequential:
    """Return 7x7 conv, `downs` strided ones, `blocks`, as many transposed, 7x7 conv, tanh."""
    bias = kind == "instance"
    layers: list[nn.Module] = [
        ReflectionPad2d(3),
        nn.Conv2d(3, width, 7, bias=bias),
        norm(kind, width),
        nn.ReLU(),
    ]
    for level in range(downs):
        c = width * 2**level
        conv = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias)
        layers += [conv, norm(kind, 2 * c), nn.ReLU()]
    layers += blocks
    for level in reversed(range(downs)):
        c = width * 2**level
        up = nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1, bias=bias)
        layers += [up, norm(kind, c), nn.ReLU()]
    layers += [ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers)
