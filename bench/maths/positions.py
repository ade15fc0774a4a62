"""A feature map as rows, one per spatial position: what relations between positions start from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.errors import SuiteError


def check_side(method: str, side: int) -> None:
    """Refuse a map without positions.

    Raises:
        SuiteError: `side` is below 1.
    """
    if side < 1:
        raise SuiteError(f"{method}: side: should be at least 1: {side}.")


def positions(feature: Tensor, side: int) -> Tensor:
    """[N, C, H, W] -> [N, P, C], P positions in raster order.

    A map larger than `side` is averaged over squares of the smallest size that brings it to at
    most `side` x `side` positions: a matrix over positions has P x P entries.
    """
    factor = -(-max(feature.shape[-2:]) // side)
    if factor > 1:
        feature = F.avg_pool2d(feature, factor, ceil_mode=True)
    return feature.flatten(2).mT
