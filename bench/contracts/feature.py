"""The contract of a feature extractor: one file in `bench/features/`.

Metrics that compare sets of images (FID, KID, SWD) do so by features of each image. Features are
computed once per image and shared by all such metrics; those of a real set are kept in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor


class Extractor:
    """Turns images into features, image by image: neither batch size nor order matters."""

    version: ClassVar[int] = 1  # raise it when the features change
    source: ClassVar[str] = ""
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks of bench/fetch/weights.py
    gives: ClassVar[Sequence[str]] = ()  # names of the features, or what they are; (): not said

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return features by name, each [N, ...] float32 on the CPU.

        Images that the extractor leaves out, such as those past a limit, give no rows.

        Args:
            images: [N, 3, H, W] float32 RGB in [0, 1], already rounded to 8 bits.
            first: place of the first of them in its set; random choices may depend on it alone.
        """
        raise NotImplementedError
