"""Pix2PixHD's global generator: ResNet-9 with three downsamplings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contracts.network import Generator
from bench.nets._blocks import encoder_decoder, residual
from bench.nets._names import DROPOUT, with_dropout


class Pix2PixHD(Generator):
    """Global generator with 3 downsamplings and 9 blocks, as WKD uses it at 256 px.

    The original script's default is 4 downsamplings (182 M parameters); only 3 give the papers'
    45.59 M. On paired data it brings its own recipe: LSGAN with a two-scale discriminator,
    feature matching and a VGG loss instead of L1, both players' gradients from one state.
    `lambda_vgg: 0` is the original's
    `--no_vgg_loss`.
    """

    defaults = {"norm": "instance"}
    choices = {"norm": ("batch", "instance")}
    source = "Wang et al., CVPR 2018; NVIDIA/pix2pixHD"
    taps = {"down": 12, "mid1": 15, "mid2": 18, "up": 21}
    multiple = 8
    task_defaults = {
        "paired": {
            "gan": "lsgan",
            "discriminator": "multiscale_patchgan",
            "lambda_l1": 0.0,
            "lambda_fm": 10.0,
            "lambda_vgg": 10.0,
            "order": "simultaneous",
        }
    }

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        kind = params["norm"]
        blocks = [residual(8 * width, kind, bias=kind == "instance") for _ in range(9)]
        self.model = encoder_decoder(width, 3, blocks, kind)

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return NVIDIA's names, and those with a dropout in each block."""
        own = {name: name for name in self.state_dict()}
        return {"NVIDIA's pix2pixHD": own, f"NVIDIA's pix2pixHD, {DROPOUT}": with_dropout(self)}
