"""Features of the Inception network, of images that are resized as clean-fid resizes them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.features.inception import SIDE, Inception


class InceptionClean(Inception):
    """The features of `inception`, of images that clean-fid has resized.

    Bicubic with antialiasing by Pillow, in float32 per channel, cut to [0, 255] and not rounded.
    """

    source = (
        "Parmar et al., CVPR 2022, arXiv:2104.11222; clean-fid 0.1.35 (resize.py, mode `clean`)"
    )

    def prepared(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, 299, 299] in [-1, 1)."""
        pixels = images.mul(255).round().cpu().numpy()
        resized = np.stack([[_resized(channel) for channel in image] for image in pixels])
        x = (torch.from_numpy(resized) - 128) / 128
        return x.to(images.device, memory_format=torch.channels_last)


def _resized(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W] -> [299, 299], both on a scale of 255."""
    image = Image.fromarray(channel).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0, 255)
