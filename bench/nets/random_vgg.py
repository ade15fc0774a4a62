"""A source model that needs no file: VGG-19's layout with random weights, at any widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench.nets._source import divide, level_variances, normalise_input
from bench.nets.pca_vgg import PCAVGG


class RandomVGG(PCAVGG):
    """Features that nobody learnt: what is distilled from it shows that a pipeline works, no more.

    Colours are normalised as ImageNet's; weights are He's (normal, biases 0) and stay. Each level
    is divided by one number, so that over the training images its channels have a mean variance of
    1. The decoder trains.
    """

    source = "He et al., ICCV 2015 (initial weights); as a source model: ours"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self.encoder.requires_grad_(False)

    def initialise(self) -> None:
        """Draw He's weights for the encoder, Glorot's for the decoder."""
        super().initialise()
        for module in self.encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        normalise_input(self)

    def start(self, inputs: Iterable[tuple[Tensor, ...]], files: Mapping[str, Path]) -> None:
        """Bring each level to unit variance."""
        divide(list(self.encoder), [v.sqrt() for v in level_variances(self, inputs)])
