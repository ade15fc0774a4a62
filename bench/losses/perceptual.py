"""Perceptual losses of frozen classifiers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import run
from bench.fetch import weights

# last ReLU of each of VGG-16's first four blocks, in torchvision's flat list of layers
TAPS = {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22}
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
        self.features = _trunk("vgg19", max(LAYERS))

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


class VGG16(nn.Module):
    """Features of VGG-16 by layer, as OMGD, DCD and FESD compare them.

    Images are mapped to [0, 1] and go in without ImageNet's mean and standard deviation.

    Source: bytedance/OMGD at f2492a44, utils/vgg.py and vgg_feature.py.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = _trunk("vgg16", max(TAPS.values()))

    @classmethod
    @functools.cache
    def on(cls, device: torch.device) -> Self:
        """Return the one instance of this process on a device."""
        return cls().to(device)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """[N, 3, S, S] in [-1, 1], S at least 8 -> layer of `TAPS` -> [N, C, H, W]."""
        return run(self.features, (images + 1) / 2, TAPS)[1]


def perceptual_terms(
    output: Tensor,
    target: Tensor,
    style: float,
    feature: float,
    layers: Sequence[str] = ("relu2_2",),
) -> dict[str, Tensor]:
    """Return the weighted distances "style" and "feature" of two images by VGG-16.

    Style is the sum over all four layers of the mean absolute difference of their Gram matrices;
    feature is the sum over `layers` of the mean absolute difference of the features themselves.
    A term of weight 0 is left out, and where both are, the network is not needed.

    Args:
        output: [N, 3, S, S] in [-1, 1].
        target: as `output`; no gradient flows to it.
        style: weight.
        feature: weight.
        layers: names in `TAPS`.
    """
    if not (style or feature):
        return {}
    network = VGG16.on(output.device)
    with torch.no_grad():
        wanted = network(target)
    found: Mapping[str, Tensor] = network(output)
    terms = {}
    if style:
        distances = [F.l1_loss(gram(found[name]), gram(wanted[name])) for name in TAPS]
        terms["style"] = style * torch.stack(distances).sum()
    if feature:
        distances = [F.l1_loss(found[name], wanted[name]) for name in layers]
        terms["feature"] = feature * torch.stack(distances).sum()
    return terms


def gram(features: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, C]: the inner products of channels over C H W."""
    rows = features.flatten(2)
    return rows @ rows.mT / features[0].numel()


def _trunk(name: str, last: int) -> nn.Sequential:
    """Return the layers up to the last that is needed of a published VGG, frozen."""
    from torchvision import models  # slow to import, and few runs need it

    state = torch.load(weights.find(name), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random weights, not even for a moment
        features: nn.Sequential = getattr(models, name)(weights=None).features[: last + 1]
    wanted = {key: state[f"features.{key}"] for key in features.state_dict()}
    features.load_state_dict(wanted, assign=True)
    return features.requires_grad_(False).eval()
