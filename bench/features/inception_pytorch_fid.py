"""Features of the Inception network, of images that are resized as pytorch-fid resizes them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.features.inception import SIDE, Inception


class InceptionPytorchFID(Inception):
    """The features of `inception`, of images that pytorch-fid has resized.

    Bilinear, no antialiasing, with half-pixel offsets, from [0, 1] without a step of 8 bits; then
    [0, 1] is mapped to [-1, 1]. The variant of GAN Compression, OMGD, DCD, WKD and FESD.
    """

    source = "mseitzer/pytorch-fid 0.3.0 (inception.py, InceptionV3.forward)"

    def prepared(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, 299, 299] in [-1, 1]."""
        x = images.contiguous(memory_format=torch.channels_last)
        return 2 * F.interpolate(x, SIDE, mode="bilinear", align_corners=False) - 1
