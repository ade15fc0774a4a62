"""Learned perceptual image patch similarity."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.metric import ImageMetric
from bench.errors import DataError
from bench.fetch import weights
from bench.metrics import _memo as memo

# name -> name in torchvision and bench/fetch/weights.py, which of its `features` are compared, and
# the smallest image side in pixels that reaches the last of them
BACKBONES = {
    "alex": ("alexnet", (1, 4, 7, 9, 11), 31),
    "vgg": ("vgg16", (3, 8, 15, 22, 29), 16),
    "squeeze": ("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12), 17),
}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


class LPIPS(ImageMetric):
    """LPIPS v0.1 (linear layers over frozen features), per image, then the mean over images.

    Images go in at their own size. Papers' "LPIPS" is mostly that of AlexNet, which a table shows
    wherever it is computed. Each image passes a network by itself: the size of a batch changes
    the last bits of a convolution.
    """

    defaults = {"nets": ["alex"]}
    choices = {  # several only with alex: the headline must be among the values
        "nets": [
            ["alex"],
            ["vgg"],
            ["squeeze"],
            ["alex", "vgg"],
            ["alex", "squeeze"],
            ["alex", "vgg", "squeeze"],
        ]
    }
    source = "Zhang et al., CVPR 2018, eq. 1; linear layers v0.1 of the lpips package"
    label = "LPIPS"
    presets = ("paper", "modern")
    digits = 4
    better = "lower"
    needs = ("target",)
    weights_by = {"nets": {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}}
    headline = "lpips_alex"
    checks = {
        "the same image": (
            torch.linspace(0, 1, 12288).view(1, 3, 64, 64),
            torch.linspace(0, 1, 12288).view(1, 3, 64, 64),
            {"lpips_alex": 0.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.networks: dict[str, _Network] = {}
        self.scores: dict[str, list[float]] = {net: [] for net in params["nets"]}

    @torch.no_grad()
    def add(self, output: Tensor, target: Tensor) -> None:
        """Score each image by itself.

        Raises:
            WeightsError: a backbone is missing or is not the published one.
            DataError: the images are too small for a backbone.
        """
        if not self.networks:
            self.networks = {n: _open(n, output.device) for n in self.params["nets"]}
        for net, network in self.networks.items():
            height, width = output.shape[-2:]
            if min(height, width) < BACKBONES[net][2]:
                raise DataError(
                    f"lpips: images of {width}x{height} px are smaller than the "
                    f"{BACKBONES[net][2]} px that {net} needs; score larger images, or leave "
                    f"{net} out."
                )
            pairs = zip(output.unsqueeze(1), target.unsqueeze(1), strict=True)
            self.scores[net] += torch.cat([network.distance(a, b) for a, b in pairs]).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return each image's by network: `lpips_alex`, ..."""
        return {f"lpips_{net}": found for net, found in self.scores.items()}


def _open(net: str, device: torch.device) -> _Network:
    """Return the one instance of this process; the file is checked each time."""
    return _built(net, weights.find(BACKBONES[net][0]), device)


@functools.cache
def _built(net: str, backbone: Path, device: torch.device) -> _Network:
    network = _Network(net, backbone).to(device)
    return network.to(memory_format=torch.channels_last)


class _Network(nn.Module):
    """A frozen backbone, and how much each of its channels counts."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str, backbone: Path) -> None:
        super().__init__()
        from torchvision import models  # slow to import, and few runs need it

        name, self.layers, _ = BACKBONES[net]
        state = torch.load(backbone, map_location="cpu", weights_only=True)
        state = {k.removeprefix("features."): v for k, v in state.items() if "features." in k}
        with torch.device("meta"):  # no random weights, not even for a moment
            features = getattr(models, name)(weights=None).features[: self.layers[-1] + 1]
        wanted = {k: state[k] for k in features.state_dict()}
        features.load_state_dict(wanted, assign=True)
        self.features = features.requires_grad_(False).eval()
        linear = importlib.resources.files("lpips") / "weights" / "v0.1" / f"{net}.pth"
        with linear.open("rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        for place in range(len(self.layers)):
            self.register_buffer(f"linear{place}", state[f"lin{place}.model.1.weight"].flatten())
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))

    def distance(self, output: Tensor, target: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] twice -> [N]; the target's features are kept for others."""
        distances = [
            (a - b).square_().mean((-1, -2)) @ self.get_buffer(f"linear{place}")
            for place, (a, b) in enumerate(
                zip(
                    self.directions(output),
                    memo.shared.recall(self.directions, target),
                    strict=True,
                )
            )
        ]
        return torch.stack(distances).sum(0)

    def directions(self, images: Tensor) -> tuple[Tensor, ...]:
        """[N, 3, H, W] in [0, 1] -> features per layer, of length one at each place."""
        x = (images.float() * 2 - 1 - self.shift) / self.scale
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.layers:
                length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
                found.append(x / (length + 1e-10))
        return tuple(found)
