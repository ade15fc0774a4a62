"""The networks by which stylised images are judged, and the images that they are held against."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.contracts.dataset import Dataset
from bench.contracts.metric import Scene
from bench.fetch import weights
from bench.maths.zca import zca
from bench.metrics import _memo as memo
from bench.nets._style import StyleNet
from bench.nets.random_vgg import RandomVGG
from bench.nets.vgg19 import VGG19, WIDTH

RANDOM, SEED = (16, 32, 64, 128), 0
IMAGES = 64  # of the training split, that the judge's scale is found on
COLOURS = 1e-4  # ridge of the colour transfer that needs no network, of values in [0, 1]


class Judge:
    """Levels relu1_1 to relu4_1 of images, kept where they are asked for again."""

    def __init__(self, network: StyleNet) -> None:
        self.network = network

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """[N, 3, S, S] in [0, 1] -> [N, C, H, W] per level."""
        return memo.shared.recall(self._levels, images)

    @torch.no_grad()
    def _levels(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.encode(images).features)


_OPENED: dict[tuple[str, str, int, torch.device], Judge] = {}  # of this process


def judge(name: str, dataset: Dataset, size: int, device: torch.device) -> Judge:
    """Return the one instance of this process of a judge, scaled by the training images.

    Raises:
        WeightsError: its file is missing.
    """
    place = (name, dataset.fingerprint(), size, device)
    if place not in _OPENED:
        _OPENED[place] = _open(name, dataset, size, device)
    return _OPENED[place]


@torch.no_grad()
def _open(name: str, dataset: Dataset, size: int, device: torch.device) -> Judge:
    network: StyleNet
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if name == "random":
            network = RandomVGG(RANDOM, size, {})
            network.initialise()
        else:
            network = VGG19(WIDTH, size, {})
    network.eval().requires_grad_(False)
    count = min(IMAGES, dataset.count("train", "A"))
    inputs = ((2 * _read(dataset, "train", "A", i, size) - 1,) for i in range(count))
    network.start(inputs, {n: weights.find(n) for n in network.weights})
    return Judge(network.to(device))


def style(scene: Scene, index: int) -> Tensor:
    """Return the style of one output: [1, 3, S, S] in [0, 1]."""
    assert scene.dataset is not None
    return _read(scene.dataset, scene.split, "B", index, scene.size).to(scene.device)


def recoloured(content: Tensor, style: Tensor) -> Tensor:
    """Return the content whose pixels have the style's mean and covariance, at 8 bits."""
    moved = zca(content, style, COLOURS).clamp(0, 1)
    return moved.mul(255).round().div(255)


def _read(dataset: Dataset, split: str, domain: str, index: int, size: int) -> Tensor:
    pixels = dataset.read(split, domain, index, size)
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).float().div(255)
