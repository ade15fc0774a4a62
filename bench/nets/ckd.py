"""Collaborative distillation's students: four small encoder-decoders, a sixteenth of VGG-19's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.nets._photowct import Cascade

FIRST = 24  # channels of the first encoder-decoder, at a width of (16, 32, 64, 128)


class CKD(Cascade):
    """PhotoWCT's cascade at a quarter of its channels, the first of them with half as many more.

    525,860 parameters at (16, 32, 64, 128), PCA-KD's 526K; the 1x1 convolutions to the teacher's
    channels are there in training only and not counted.
    """

    source = "Wang et al., CVPR 2020; widths of MingSun-Tse/Collaborative-Distillation at 4a269dc9"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        first = width[0] * FIRST // 16
        others = [width[:depth] for depth in range(2, len(width) + 1)]
        super().__init__([(first,), *others], size, params)
