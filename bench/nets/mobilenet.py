"""A source model: MobileNet v1 up to its sixth depthwise convolution, with a student's decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import SuiteError
from bench.nets._source import convolutions
from bench.nets.pca_mobile import PCAMobile

WIDTH = (32, 64, 128, 256)
EPS = 1e-3  # of its batch norms
NAMES = ("conv1", *(f"conv_{kind}_{n}" for n in range(1, 7) for kind in ("dw", "pw")))


class MobileNet(PCAMobile):
    """Keras's MobileNet 1.0, batch norms folded into the convolutions; the decoder trains.

    ReLU6 and borders of zeros, where the student has ReLU and reflected ones. Its features are
    taken as they are: the batch norms have given them a scale.
    """

    source = "Howard et al., arXiv:1704.04861; Keras's weights 1.0/224, layers conv1 to conv_dw_6"
    weights = ("mobilenet_v1",)
    activation = nn.ReLU6
    border = "constant"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        if tuple(width) != WIDTH:
            raise SuiteError(f"mobilenet has one width, {list(WIDTH)}, not {list(width)}.")
        self.encoder.requires_grad_(False)

    def start(self, inputs: Iterable[tuple[Tensor, ...]], files: Mapping[str, Path]) -> None:
        """Read the file: arrays under Keras's names, kernels [H, W, in, out]."""
        with np.load(files["mobilenet_v1"], allow_pickle=False) as arrays:
            self.read({name: torch.from_numpy(arrays[name]) for name in arrays.files})

    @torch.no_grad()
    def read(self, state: Mapping[str, Tensor]) -> None:
        """Take Keras's weights: `conv1/kernel`, `conv_dw_1/depthwise_kernel`, `conv1_bn/gamma`."""
        for layer, name in zip(convolutions(self.encoder), NAMES, strict=False):
            is_depthwise = layer.groups > 1
            kernel = state[f"{name}/{'depthwise_kernel' if is_depthwise else 'kernel'}"]
            kernel = kernel.permute(2, 3, 0, 1) if is_depthwise else kernel.permute(3, 2, 0, 1)
            scale = state[f"{name}_bn/gamma"] / (state[f"{name}_bn/moving_variance"] + EPS).sqrt()
            layer.weight.copy_(kernel * scale[:, None, None, None])
            shift = state[f"{name}_bn/beta"] - state[f"{name}_bn/moving_mean"] * scale
            layer.bias.copy_(shift)  # type: ignore[union-attr]
