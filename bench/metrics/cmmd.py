"""CLIP maximum mean discrepancy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.contracts.metric import Features, SetMetric

BANDWIDTH = 10  # sigma of the kernel, where embeddings have length one
SCALE = 1000  # of the printed value
ROWS = 1024  # of a kernel matrix that are computed at once


class CMMD(SetMetric):
    """Squared MMD between CLIP embeddings of two sets, times 1,000.

    Gaussian kernel exp(-|x - y|^2 / (2 sigma^2)) with sigma = 10, in float64. The estimate is the
    biased one of the original code, in which an image also meets itself: never below zero, and
    about 1,000 (1 - k) / N too high for each set of N images, k being the kernel's mean within it.
    """

    features = "clip_vitl14_336"
    source = (
        "Jayasumana et al., CVPR 2024, arXiv:2401.09603, section 4; values of google-research/cmmd "
        "(distance.py)"
    )
    label = "CMMD"
    presets = ("modern",)
    digits = 3
    better = "lower"
    checks = {
        "one image each, opposite": (
            {"embedding": torch.tensor([[1.0, 0.0]])},
            {"embedding": torch.tensor([[-1.0, 0.0]])},
            {"cmmd": SCALE * 2 * (1 - math.exp(-4 / 200))},
        ),
        "two against one of them": (
            {"embedding": torch.eye(2)},
            {"embedding": torch.eye(2)[:1]},
            {"cmmd": SCALE * (1 - math.exp(-2 / 200)) / 2},
        ),
        "the same set twice": (
            {"embedding": torch.eye(3)},
            {"embedding": torch.eye(3)},
            {"cmmd": 0.0},
        ),
    }

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance."""
        x, y = (features["embedding"].double() for features in (outputs, real))
        within = _nearness(x, x) + _nearness(y, y)
        return {"cmmd": SCALE * (within - 2 * _nearness(x, y))}


def _nearness(x: Tensor, y: Tensor) -> float:
    """Return the mean of the kernel over all pairs of [N, D] and [M, D], less one.

    It is near one for every pair; the difference keeps the digits.
    """
    total = 0.0
    for first in range(0, len(x), ROWS):
        rows = x[first : first + ROWS]
        squares = rows.square().sum(1)[:, None] + y.square().sum(1) - 2 * rows @ y.T
        total += float(torch.expm1(squares / (-2 * BANDWIDTH**2)).sum())
    return total / (len(x) * len(y))
