"""Weights of the shape of the published Inception file: random, with calibrated batch norms.

The published file is not in this repository. What is tested with these is the computation, not the
values of FID; a random network amplifies rounding more than a trained one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn
from torch_fidelity import feature_extractor_inceptionv3 as peer


def photographs(count: int, size: int, seed: int) -> torch.Tensor:
    """Return crops of scikit-image's photographs, [N, 3, S, S] uint8."""
    random = np.random.default_rng(seed)
    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    crops = []
    for _ in range(count):
        photo = sources[random.integers(len(sources))]
        y, x = (random.integers(side - size + 1) for side in photo.shape[:2])
        crops.append(photo[y : y + size, x : x + size].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(crops))


def write(path: Path, images: torch.Tensor) -> None:
    """Save torch-fidelity's network with random weights, its batch norms fitted to `images`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(peer.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = peer.FeatureExtractorInceptionV3("random", ["2048"])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain mean over batches
    with torch.no_grad():
        network.train()(images)
    torch.save(network.state_dict(), path)


def torch_fidelity(path: Path) -> Any:
    """Return torch-fidelity's own extractor with those weights: uint8 -> ([N, 2048],)."""
    return peer.FeatureExtractorInceptionV3(
        "peer", ["2048"], feature_extractor_weights_path=str(path)
    )
