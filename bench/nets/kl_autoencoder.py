"""Latent diffusion's autoencoder: an image to a code of a coarser grid, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Autoencoder
from bench.errors import SuiteError
from bench.nets._denoising import group_norm

EPSILON = 1e-6  # of norms
LEAST, MOST = -30.0, 20.0  # of logarithms of variances


class KLAutoencoder(Autoencoder):
    """Residual blocks per level, attention in the middle, a code that is drawn from a Gaussian.

    Width 128 with `multiples` 1, 2, 4, 4 and 4 channels is LDM's KL-f8, which Stable Diffusion uses
    (83,653,863 parameters). Layers have the original code's names, so that its weights load. Level
    k has the k-th of `multiples` x width channels, `blocks` residual blocks on the way in and one
    more on the way out, and half the grid of the one before. Initial weights are torch's.
    """

    defaults = {"multiples": [1, 2, 4], "blocks": 1, "channels": 4}
    source = "Rombach et al. (LDM), CVPR 2022; CompVis/latent-diffusion, model.py, autoencoder.py"

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self._check()
        widths, codes = [width * m for m in params["multiples"]], params["channels"]
        self.encoder = _Encoder(widths, params["blocks"], 2 * codes)
        self.decoder = _Decoder(widths, params["blocks"], codes)
        self.quant_conv = nn.Conv2d(2 * codes, 2 * codes, 1)
        self.post_quant_conv = nn.Conv2d(codes, codes, 1)

    def initialise(self) -> None:
        """Stay as built."""

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """[N, 3, S, S] in [-1, 1] -> the same from its code; in training mode from a drawn one."""
        mean, log_variance = self._moments(x)
        code = mean
        if self.training:
            code = mean + log_variance.div(2).exp() * torch.randn_like(mean)
        found = {"moments": torch.cat([mean, log_variance], 1)}
        return self.decode(code), {role: found[role] for role in hints}

    def encode(self, images: Tensor) -> Tensor:
        """Return the means of the codes."""
        return self._moments(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images of codes."""
        found: Tensor = self.decoder(self.post_quant_conv(codes))
        return found

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.quant_conv(self.encoder(images)).chunk(2, 1)
        return mean, log_variance.clamp(LEAST, MOST)

    def _check(self) -> None:
        """Refuse what cannot be built.

        Raises:
            SuiteError: what, and what it should be.
        """
        name, p = type(self).__name__, self.params
        if not p["multiples"] or not all(isinstance(m, int) and m >= 1 for m in p["multiples"]):
            raise SuiteError(
                f"{name}: multiples: give one whole number per level, found {p['multiples']}."
            )
        for key in ("blocks", "channels"):
            if p[key] < 1:
                raise SuiteError(f"{name}: {key}: should be at least 1, found {p[key]}.")
        multiple = 2 ** (len(p["multiples"]) - 1)
        if self.size % multiple:
            raise SuiteError(
                f"{name}: its levels need a side that is a multiple of {multiple} pixels, found "
                f"{self.size}."
            )


class _Encoder(nn.Module):
    """[N, 3, S, S] -> [N, after, s, s]."""

    def __init__(self, widths: Sequence[int], blocks: int, after: int) -> None:
        super().__init__()
        now = widths[0]
        self.conv_in = nn.Conv2d(3, now, 3, padding=1)
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            part = _Level(now, width, blocks)
            if level < len(widths) - 1:
                part.downsample = _Downsample(width)
            self.down.append(part)
            now = width
        self.mid = _Middle(now)
        self.norm_out = group_norm(now, EPSILON)
        self.conv_out = nn.Conv2d(now, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        found: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return found


class _Decoder(nn.Module):
    """[N, before, s, s] -> [N, 3, S, S]."""

    def __init__(self, widths: Sequence[int], blocks: int, before: int) -> None:
        super().__init__()
        now = widths[-1]
        self.conv_in = nn.Conv2d(before, now, 3, padding=1)
        self.mid = _Middle(now)
        found = []
        for level, width in reversed(list(enumerate(widths))):
            part = _Level(now, width, blocks + 1)
            if level:
                part.upsample = _Upsample(width)
            found.append(part)
            now = width
        self.up = nn.ModuleList(reversed(found))  # as the original code counts them
        self.norm_out = group_norm(now, EPSILON)
        self.conv_out = nn.Conv2d(now, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        found: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return found


class _Level(nn.Module):
    """Residual blocks on one grid, and what leads to the next one."""

    def __init__(self, before: int, after: int, blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Residual(after if i else before, after) for i in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.block, *(m for name, m in self.named_children() if name != "block")):
            x = layer(x)
        return x


class _Middle(nn.Module):
    """Two residual blocks and attention between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = _Residual(channels, channels)
        self.attn_1 = _Attention(channels)
        self.block_2 = _Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return found


class _Residual(nn.Module):
    """Two convolutions beside a skip."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1 = group_norm(before, EPSILON)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = group_norm(after, EPSILON)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        if before != after:
            self.nin_shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv1(F.silu(self.norm1(x)))
        found = self.conv2(F.silu(self.norm2(found)))
        return found + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class _Attention(nn.Module):
    """Self-attention of one head over all positions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, EPSILON)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        query, key, value = (
            layer(normed).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v)
        )
        found = F.scaled_dot_product_attention(query, key, value)[:, 0].transpose(1, 2)
        added: Tensor = self.proj_out(found.reshape(x.shape))
        return x + added


class _Downsample(nn.Module):
    """A convolution of stride 2, padded right and below alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return found


class _Upsample(nn.Module):
    """Each pixel four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(F.interpolate(x, scale_factor=2.0))
        return found
