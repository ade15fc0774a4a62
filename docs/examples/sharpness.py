"""How sharp an image is, beside its ground truth."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import ImageMetric


class Sharpness(ImageMetric):
    """Mean absolute difference of neighbours, as a share of the ground truth's: 1 is as sharp.

    Blurred images have less. The mean over images of each image's own share.
    """

    source = "an example"
    label = "sharpness"
    better = "higher"
    needs = ("target",)  # so there is no such score on unpaired data
    digits = 3
    checks = {  # worked examples: output, target, what comes out
        "half the contrast": (
            torch.tensor([0.25, 0.75]).repeat(1, 3, 4, 2),
            torch.tensor([0.0, 1.0]).repeat(1, 3, 4, 2),
            {"sharpness": 0.5},
        ),
        "the same image": (
            torch.tensor([0.0, 1.0]).repeat(2, 3, 4, 2),
            torch.tensor([0.0, 1.0]).repeat(2, 3, 4, 2),
            {"sharpness": 1.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.shares: list[float] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in one batch: [N, 3, H, W] in [0, 1], outputs and their ground truths."""
        self.shares += (_changes(output) / _changes(target).clamp_min(1e-8)).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return every image's own value: the score is their mean, with its sampling error."""
        return {"sharpness": self.shares}


def _changes(images: Tensor) -> Tensor:
    across, down = (images.double().diff(dim=d).abs().mean((1, 2, 3)) for d in (3, 2))
    return across + down
