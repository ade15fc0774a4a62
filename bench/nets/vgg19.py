"""A source model: VGG-19 up to relu4_1, normalised, with a decoder of the students' layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import SuiteError
from bench.nets._source import channel_means, convolutions, divide, floored, normalise_input
from bench.nets.pca_vgg import PCAVGG

WIDTH = (64, 128, 256, 512)


class VGG19(PCAVGG):
    """torchvision's VGG-19, each channel of whose levels is divided by its mean over the data.

    The papers' source is the "normalised" VGG-19 of universal style transfer: Caffe's weights,
    scaled so that each channel has mean 1 over natural images. Its weights lie in no place that is
    known to work, so torchvision's are taken and the means are those of the training images here,
    each at least a tenth of their mean over channels. Numbers made with it stand beside no paper's.

    The encoder stays; the decoder trains.
    """

    source = "Simonyan & Zisserman, ICLR 2015; torchvision; normalised as Gatys et al., CVPR 2016"
    weights = ("vgg19",)

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        if tuple(width) != WIDTH:
            raise SuiteError(f"vgg19 has one width, {list(WIDTH)}, not {list(width)}.")
        self.encoder.requires_grad_(False)

    def start(self, inputs: Iterable[tuple[Tensor, ...]], files: Mapping[str, Path]) -> None:
        """Read the file, then normalise."""
        self.read(torch.load(files["vgg19"], map_location="cpu", weights_only=True))
        divide(list(self.encoder), [floored(means) for means in channel_means(self, inputs)])

    @torch.no_grad()
    def read(self, state: Mapping[str, Tensor]) -> None:
        """Take torchvision's weights: `features.N.weight` and `.bias`, in the order of N."""
        normalise_input(self)
        for layer, (weight, bias) in zip(
            convolutions(self.encoder)[1:], _convolutions(state), strict=False
        ):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)  # type: ignore[union-attr]


def _convolutions(state: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of each convolution, in order."""
    numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    return [(state[f"features.{n}.weight"], state[f"features.{n}.bias"]) for n in numbers]
