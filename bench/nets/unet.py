"""Pix2Pix's generator: a U-Net that halves the image down to (nearly) one pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Generator
from bench.maths.pruning import walk
from bench.nets._blocks import norm
from bench.nets._names import renamed, with_dropout


class UNet(Generator):
    """U-Net with skips by concatenation; at 256 px and more it is the papers' U-Net-256.

    Depth follows the resolution: one level per halving that leaves whole pixels, at most 8, at
    least 5. Widths are n, 2n, 4n, then 8n. Dropout 0.5 follows the norm in the upward half of
    the inner 8n levels, all but the innermost. A convolution has a bias where the norm is
    instance norm; the outermost transposed one always.

    The original applies its activations in place, so that a skip carries LeakyReLU(x) and not x;
    the ReLU that follows makes both the same function. Here the activation is computed once and
    is both the skip and the hint.
    """

    defaults = {"norm": "batch", "dropout": 0.5}
    choices = {"norm": ("batch", "instance")}
    source = "Isola et al., CVPR 2017; hint layers as bytedance/OMGD"
    # What enters the down- (+) or the up- (-) convolution of a level, activated.
    taps = {"down": 3, "mid1": 5, "mid2": -4, "up": -2}
    multiple = 32

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        levels = min(8, (size & -size).bit_length() - 1)
        kind, bias = params["norm"], params["norm"] == "instance"
        widths = [min(8, 2**level) * width for level in range(levels)]
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.joined = nn.Sequential()  # on what the outermost level joins; nothing here
        for level, c in enumerate(widths):
            outermost, innermost = level == 0, level == levels - 1
            above = 3 if outermost else widths[level - 1]
            down: list[nn.Module] = [nn.Conv2d(above, c, 4, 2, 1, bias=bias)]
            if not (outermost or innermost):
                down.append(norm(kind, c))
            below = c if innermost else 2 * c
            up: list[nn.Module] = [
                nn.ConvTranspose2d(below, above, 4, 2, 1, bias=bias or outermost),
                nn.Tanh() if outermost else norm(kind, above),
            ]
            if 4 <= level < levels - 1 and params["dropout"]:
                up.append(nn.Dropout(params["dropout"]))
            self.downs.append(nn.Sequential(*down))
            self.ups.append(nn.Sequential(*up))

    def forward(self, x: Tensor, hints: Sequence[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output and the features that `hints` ask for by role, [N, C, H, W] each."""
        roles = {self.taps[role]: role for role in hints}
        found = {}
        skips = []
        for level, down in enumerate(self.downs, start=1):
            if level > 1:
                x = F.leaky_relu(x, 0.2)
                skips.append(x)
            if level in roles:
                found[roles[level]] = x
            x = down(x)
        for level, up in reversed(list(enumerate(self.ups, start=1))):
            x = torch.cat([skips[level - 1], x], 1) if level < len(self.ups) else x
            x = F.relu(self.joined(x) if level == 1 else x)
            if -level in roles:
                found[roles[-level]] = x
            x = up(x)
        return x, found

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return junyanz' names, in which each level lies in the one above it, and its own."""
        return {"junyanz": self._nested(), **super().layouts()}

    def _nested(self) -> dict[str, str]:
        """Return its own name -> the nested one: a level is what goes down, the next, what goes up.

        Activations are layers there, and so take an index.
        """
        found: dict[str, str] = {}
        above, innermost = "model", len(self.downs) - 1
        for level, (down, up) in enumerate(zip(self.downs, self.ups, strict=True)):
            assert isinstance(down, nn.Sequential)
            assert isinstance(up, nn.Sequential)
            outermost = level == 0
            places = ["", *(f"downs.{level}.{i}" for i in range(len(down)))][outermost:]
            inner = f"{above}.model.{len(places)}"
            places += [] if level == innermost else [""]
            places += [f"joined.{i}" for i in range(len(self.joined))] if outermost else []
            places += ["", *(f"ups.{level}.{i}" for i in range(len(up)))]
            found |= {own: f"{above}.model.{i}" for i, own in enumerate(places) if own}
            above = inner
        starts = {f"{own}.": f"{theirs}." for own, theirs in found.items()}
        return renamed(with_dropout(self), starts)

    def _inherit(self, teacher: Self, kept: Tensor) -> None:
        """Walk down and up; an upward level reads what its skip keeps, then what comes from below.

        GAN Compression's code has no rule for a U-Net; this is its rule along the skips.
        """
        skips = []
        for mine, theirs in zip(self.downs, teacher.downs, strict=True):
            kept = walk(mine, theirs, kept)
            skips.append(kept)
        for level in reversed(range(len(self.ups))):
            if level < len(self.ups) - 1:
                offset = min(8, 2**level) * teacher.width
                kept = torch.cat([skips[level], offset + kept])
            if level == 0:
                kept = walk(self.joined, teacher.joined, kept)
            kept = walk(self.ups[level], teacher.ups[level], kept)
