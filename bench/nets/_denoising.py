"""Blocks of the denoising U-Nets of latent diffusion.

Modules are named as in the original code (CompVis/latent-diffusion, openaimodel.py and
attention.py), so that weights trained by it have these names.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32  # of a norm, where they divide the channels


def group_norm(channels: int, epsilon: float = 1e-5) -> nn.GroupNorm:
    """Return a norm of 32 groups; where they do not divide, of as many as do, four wide or more."""
    groups = GROUPS
    if channels % GROUPS:
        groups = max(g for g in range(1, max(1, channels // 4) + 1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=epsilon)


def zeroed(layer: nn.Module) -> nn.Module:
    """Return a layer that adds nothing until it has learned to."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def time_features(time: Tensor, channels: int) -> Tensor:
    """[N] -> [N, channels]: cosines, then sines, of geometrically spaced frequencies."""
    half = channels // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    angles = time[:, None].float() * torch.exp(steps * (-math.log(10_000) / half))
    found = torch.cat([angles.cos(), angles.sin()], 1)
    return F.pad(found, (0, channels % 2))


class ResBlock(nn.Module):
    """Two convolutions, told the time between them, beside a skip; it may halve or double too."""

    def __init__(
        self,
        before: int,
        after: int,
        embedded: int,
        *,
        scale_shift: bool,
        resample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.scale_shift, self.resample = scale_shift, resample
        self.in_layers = nn.Sequential(
            group_norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1)
        )
        told = 2 * after if scale_shift else after
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedded, told))
        self.out_layers = nn.Sequential(
            group_norm(after),
            nn.SiLU(),
            nn.Identity(),  # in the original a dropout of 0
            zeroed(nn.Conv2d(after, after, 3, padding=1)),
        )
        self.skip_connection = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[N, before, H, W], [N, embedded] -> [N, after, H, W], or of another grid."""
        found: Tensor = self.in_layers[:2](x)
        if self.resample is not None:
            x, found = self.resample(x), self.resample(found)
        found = self.in_layers[2](found)
        told = self.emb_layers(embedding)[:, :, None, None]
        if self.scale_shift:
            scale, shift = told.chunk(2, dim=1)
            found = self.out_layers[0](found) * (1 + scale) + shift
            found = self.out_layers[1:](found)
        else:
            found = self.out_layers(found + told)
        kept: Tensor = self.skip_connection(x)
        return kept + found


class AttentionBlock(nn.Module):
    """Self-attention over all positions, added to what came in."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = group_norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        flat = x.flatten(2)
        qkv: Tensor = self.qkv(self.norm(flat))
        each = qkv.view(len(x), self.heads, 3, -1, flat.shape[-1]).transpose(-1, -2)
        query, key, value = each.unbind(2)
        found = F.scaled_dot_product_attention(query, key, value)
        added: Tensor = self.proj_out(found.transpose(-1, -2).flatten(1, 2))
        return x + added.view_as(x)


class CrossAttention(nn.Module):
    """Attention of tokens to a context, or to themselves."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[N, L, C], [N, M, context] -> [N, L, C]."""
        query, key, value = (
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        found = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(found.transpose(1, 2).flatten(2))
        return out


class GatedGELU(nn.Module):
    """A linear layer whose one half passes through as far as GELU of the other half lets it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.proj = nn.Linear(before, 2 * after)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, before] -> [N, L, after]."""
        found, gate = self.proj(x).chunk(2, dim=-1)
        passed: Tensor = found * F.gelu(gate)
        return passed


class TransformerBlock(nn.Module):
    """Self-attention, attention to the context, and a layer of four times the width."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.attn1 = CrossAttention(channels, channels, heads)
        self.attn2 = CrossAttention(channels, context, heads)
        wide = GatedGELU(channels, 4 * channels)
        layers = nn.Sequential(wide, nn.Identity(), nn.Linear(4 * channels, channels))
        self.ff = nn.Sequential(OrderedDict(net=layers))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[N, L, C], [N, M, context] -> [N, L, C]."""
        tokens = self.norm1(x)
        x = x + self.attn1(tokens, tokens)
        x = x + self.attn2(self.norm2(x), context)
        added: Tensor = self.ff(self.norm3(x))
        return x + added


class SpatialTransformer(nn.Module):
    """What stands in place of self-attention where an image is made to a context."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context, heads)])
        self.proj_out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[N, C, H, W], [N, M, context] -> [N, C, H, W]."""
        tokens: Tensor = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        found: Tensor = self.proj_out(tokens.transpose(1, 2).reshape(x.shape))
        return x + found


class Downsample(nn.Module):
    """A convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 2h, 2w] -> [N, C, h, w]."""
        found: Tensor = self.op(x)
        return found


class Upsample(nn.Module):
    """Each pixel four times, then a convolution.

    Taps that fall on copies of one pixel are added up first: the same values but for rounding, by
    one transposed convolution of 4 x 4 with four multiplications per weight and pixel in place of
    nine. What is counted (on the meta device) is the network as published.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, C, 2h, 2w]."""
        if x.is_meta:
            counted: Tensor = self.conv(F.interpolate(x, scale_factor=2.0))
            return counted
        turned = self.conv.weight.flip(2, 3).transpose(0, 1)
        kernel = F.avg_pool2d(F.pad(turned, (1, 1, 1, 1)), 2, 1, divisor_override=1)
        return F.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)
