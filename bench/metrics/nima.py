"""Neural image assessment: how good people would find an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.metric import ImageMetric
from bench.errors import WeightsError
from bench.fetch import weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
SIDE = 224  # of the network's input, pixels


class NIMA(ImageMetric):
    """Mean of the predicted distribution of ratings from 1 to 10, then the mean over images.

    VGG-16 whose classifier is one linear layer to ten ratings and a softmax, trained on AVA. The
    authors publish no weights, so the file is a local one and its sha256 is in the score's
    protocol: scores by two files are two metrics. Images are resized to 224 x 224, bilinear and
    antialiased, and normalised as ImageNet's.
    """

    source = "Talebi & Milanfar, IEEE TIP 2018, arXiv:1709.05424, sections III-A and III-B"
    label = "NIMA"
    better = "higher"
    weights = ("nima_vgg16",)

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.network = _network().eval()
        self.scores: list[float] = []

    @torch.no_grad()
    def add(self, output: Tensor, target: Tensor) -> None:
        """Rate each image; what it should have shown does not matter."""
        network = self.network.to(output.device)
        mean, std = (torch.tensor(v, device=output.device).view(3, 1, 1) for v in (MEAN, STD))
        x = F.interpolate(output, (SIDE, SIDE), mode="bilinear", antialias=True)
        ratings = network((x - mean) / std).softmax(1)
        values = torch.arange(1, 11, device=output.device, dtype=ratings.dtype)
        self.scores += (ratings @ values).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return the rating of each image, 1 to 10."""
        return {"nima": self.scores}


def _network() -> nn.Sequential:
    """Read features and classifier.

    Raises:
        WeightsError: the file is missing, or no NIMA on VGG-16.
    """
    from torchvision.models import vgg16  # slow to import, and few runs need it

    path = weights.find("nima_vgg16")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = nn.Sequential(vgg16(weights=None).features, nn.Flatten(), nn.Linear(25088, 10))
    names = {f"0.{n}": f"features.{n}" for n in network[0].state_dict()}
    names |= {"2.weight": "classifier.1.weight", "2.bias": "classifier.1.bias"}
    missing = [name for name in names.values() if name not in state]
    if missing:
        raise WeightsError(f"{path}: no NIMA on VGG-16: it lacks {missing[0]}.")
    network.load_state_dict({mine: state[name] for mine, name in names.items()})
    return network
