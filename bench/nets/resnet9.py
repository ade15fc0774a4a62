"""CycleGAN's generator: two downsamplings, nine residual blocks, two upsamplings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contracts.network import Generator
from bench.nets._blocks import encoder_decoder, residual
from bench.nets._names import DROPOUT, with_dropout


class ResNet9(Generator):
    """ResNet with 9 blocks; width 64 is the papers' teacher of 11.38 M parameters at 256 px."""

    defaults = {"norm": "instance"}
    choices = {"norm": ("batch", "instance")}
    source = "Zhu et al., ICCV 2017; layers as junyanz/pytorch-CycleGAN-and-pix2pix"
    taps = {"down": 9, "mid1": 12, "mid2": 15, "up": 18}
    multiple = 4

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        kind = params["norm"]
        blocks = [residual(4 * width, kind, bias=kind == "instance") for _ in range(9)]
        self.model = encoder_decoder(width, 2, blocks, kind)

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return junyanz' names, and those with a dropout in each block: GAN Compression's too."""
        own = {name: name for name in self.state_dict()}
        return {"junyanz": own, f"junyanz, {DROPOUT}": with_dropout(self)}
