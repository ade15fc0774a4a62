"""The contract of a pretrained segmenter: one file in `bench/segmenters/`.

A segmenter tells what a generated photograph shows; mIoU holds that against the labels from which
the photograph was made. Besides these there is `trained`: a small segmenter that the plan trains
on the data set's own real pairs (`bench/tasks/segmentation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor


class Segmenter:
    """Images to classes, by a published network."""

    version: ClassVar[int] = 1  # raise it when the classes it finds change
    source: ClassVar[str] = ""
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks of bench/fetch/weights.py
    classes: ClassVar[Sequence[str]] = ()  # in the order of its outputs

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """[N, 3, H, W] float32 RGB in [0, 1] -> [N, h, w] int64, a class per pixel of `size`.

        Logits are resized to that, the size of the labels, before the largest is taken.
        """
        raise NotImplementedError
