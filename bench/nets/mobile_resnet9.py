"""GAN Compression's generator: ResNet-9 whose residual blocks are separable convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contracts.network import Generator
from bench.nets._blocks import encoder_decoder, mobile_residual
from bench.nets._names import with_dropout


class MobileResNet9(Generator):
    """ResNet with 9 mobile blocks: teacher and student of OMGD, DCD and FESD on CycleGAN.

    Only the 3x3 convolutions of the residual blocks are separable; the down- and upsampling and
    the 7x7 convolutions stay dense. `norm` is that between blocks and around them; within a
    separable convolution it is instance norm in any case, as in the original.
    """

    defaults = {"norm": "instance"}
    choices = {"norm": ("batch", "instance")}
    version = 2
    source = "Li et al., CVPR 2020; mit-han-lab/gan-compression"
    taps = {"down": 9, "mid1": 12, "mid2": 15, "up": 18}
    multiple = 4

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        kind = params["norm"]
        self.model = encoder_decoder(
            width, 2, [mobile_residual(4 * width, kind) for _ in range(9)], kind
        )

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return GAN Compression's names, whose blocks have a dropout, and its own."""
        return {"GAN Compression, OMGD, DCD": with_dropout(self), **super().layouts()}
