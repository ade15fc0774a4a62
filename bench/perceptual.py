"""Perceptual losses of frozen classifiers."""

from __future__ import annotations

import functools
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import weights

# relu1_1 ... relu5_1 in torchvision's flat list of VGG-19 layers, and their weights
LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}


class VGG19Loss(nn.Module):
    """Pix2PixHD's VGG loss: weighted L1 between the relu{1..5}_1 features of two images.

    As in the original code the images go in as they are, in [-1, 1], without ImageNet's mean and
    standard deviation.

    Source: Wang et al., CVPR 2018, eq. 8 of the supplement; NVIDIA/pix2pixHD, VGGLoss.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg19  # slow to import, and few runs need it

        network = vgg19(weights=None)
        state = torch.load(weights.find("vgg19"), map_location="cpu", weights_only=True)
        network.load_state_dict(state)
        self.features = network.features[: max(LAYERS) + 1].requires_grad_(False).eval()

    @classmethod
    @functools.cache
    def on(cls, device: torch.device) -> Self:
        """Return the one instance of this process on a device."""
        return cls().to(device)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """[N, 3, S, S] in [-1, 1] twice -> []."""
        losses = []
        with torch.no_grad():
            wanted = self._features(target)
        for layer, feature in self._features(output).items():
            losses.append(LAYERS[layer] * F.l1_loss(feature, wanted[layer]))
        return torch.stack(losses).sum()

    def _features(self, x: Tensor) -> dict[int, Tensor]:
        found = {}
        for index, layer in enumerate(self.features):
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
            if index in LAYERS:
                found[index] = x
        return found
