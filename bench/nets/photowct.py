"""PhotoWCT with high-frequency residuals: four encoder-decoders, one per level of VGG-19."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.nets._photowct import Cascade


class PhotoWCT(Cascade):
    """Li et al.'s cascade, with PhotoWCT2's residuals in the place of unpooling.

    PCA-KD compares with "PhotoWCT with HFR" and says no more of it; residuals have no parameters,
    so its 8.35M (8,349,948 at (64, 128, 256, 512)) tell nothing of where they are added.
    """

    source = "Li et al., ECCV 2018; Chiu & Gurari (PCA-KD), CVPR 2022, Table 1"

    def __init__(self, width: tuple[int, ...], size: int, params: Mapping[str, Any]) -> None:
        super().__init__([width[:depth] for depth in range(1, len(width) + 1)], size, params)
