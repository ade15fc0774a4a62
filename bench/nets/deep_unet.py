"""OMGD's deeper teacher beside a U-Net: the same U-Net with two residual blocks after each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from bench.nets._blocks import expanded_residual
from bench.nets.unet import UNet


class DeepUNet(UNet):
    """U-Net in which two expanded residual blocks follow each convolution but the innermost two.

    On the way up the outermost level has its blocks before its transposed convolution, on all that
    it joins. OMGD's teacher has width 16 beside a student of 16 and a wider teacher of 64. There is
    no dropout: its code trains it without.
    """

    defaults = {"norm": "batch"}
    source = "Ren et al., ICCV 2021; bytedance/OMGD at f2492a44, unet_deepest_generator.py"

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, {**params, "dropout": 0.0})
        kind, levels = params["norm"], len(self.downs)
        widths = [min(8, 2**level) * width for level in range(levels)]

        def blocks(channels: int) -> list[nn.Module]:
            return [expanded_residual(channels, kind) for _ in range(2)]

        steps = zip(self.downs, self.ups, widths, strict=True)
        for level, (down, up, c) in enumerate(steps):
            assert isinstance(down, nn.Sequential)
            assert isinstance(up, nn.Sequential)
            if level < levels - 1:
                down.extend(blocks(c))
                up.extend(blocks(widths[level - 1]) if level else [])
        self.joined.extend(blocks(2 * width))

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return OMGD's names, nested and with a dropout in each block, and its own."""
        nested, *others = super().layouts().items()
        return {"OMGD, DCD": nested[1], **dict(others)}
