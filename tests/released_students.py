"""PCA-KD's released students: their arrays, by name, go into the networks of this project.

The files are not in this repository. They are the TensorFlow checkpoints of the official code at
2651cd16 ("VGG backbone/ckpts", "MobileNet backbone/ckpts"), saved with numpy under their variables'
names as `vgg_encoder.npz`, `vgg_decoder.npz`, `mobilenet_encoder.npz` and `mobilenet_decoder.npz`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.contracts.kinds import NETWORK
from bench.nets._style import StyleNet

STUDENTS = {"vgg": ("pca_vgg", (10, 20, 58, 64)), "mobilenet": ("pca_mobile", (10, 19, 37, 54))}
END = "/.ATTRIBUTES/VARIABLE_VALUE"


def student(kind: str, size: int) -> StyleNet:
    """Return one of the two architectures at the paper's widths."""
    name, width = STUDENTS[kind]
    made = NETWORK.load(name, "test")(width, size, {})
    assert isinstance(made, StyleNet)
    return made.eval()


def released(kind: str, folder: Path, size: int) -> StyleNet:
    """Return a student with its released weights.

    Args:
        kind: "vgg" or "mobilenet".
        folder: of the four files.
        size: image side in pixels.
    """
    network = student(kind, size)
    encoder, decoder = (
        dict(np.load(folder / f"{kind}_{part}.npz")) for part in ("encoder", "decoder")
    )
    if kind == "vgg":
        _fill_blocks(network.encoder, encoder)
    else:
        _fill(network.encoder, encoder, "se_model")
    _fill_blocks(network.decoder, decoder)
    return network


def _fill_blocks(blocks: nn.ModuleList, arrays: dict[str, np.ndarray]) -> None:
    for number, block in enumerate(blocks):
        _fill(block, arrays, f"btnecks/{number}")


@torch.no_grad()
def _fill(module: nn.Module, arrays: dict[str, np.ndarray], prefix: str) -> None:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(layers):
        place = f"{prefix}/layer_with_weights-{index}"
        if layer.groups > 1:
            kernel = arrays[f"{place}/depthwise_kernel{END}"].transpose(2, 3, 0, 1)
        else:
            kernel = arrays[f"{place}/kernel{END}"].transpose(3, 2, 0, 1)
        layer.weight.copy_(torch.from_numpy(kernel.copy()))
        assert layer.bias is not None
        layer.bias.copy_(torch.from_numpy(arrays[f"{place}/bias{END}"]))
