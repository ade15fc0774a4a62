"""One line: what the metric asks of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import ImageMetric


class Template(ImageMetric):
    """What a value means, and which of several definitions it is.

    This example is the mean absolute difference between output and ground truth, in 8-bit levels. A
    distance between two sets of images derives from `SetMetric`, a property of the network alone
    from `NetworkMetric`.
    """

    defaults = {"scale": 255.0}  # what a suite may set, e.g. `template: {scale: 1.0}`
    source = "paper, equation, page"
    label = "MAE"  # heads the table's column
    unit = "levels"
    better = "lower"
    needs = ("target",)  # a ground truth; leave out for metrics that look at outputs alone
    checks = {  # worked examples: story -> (output, target, expected values)
        "0.1 off everywhere": (
            torch.full((2, 3, 16, 16), 0.5),
            torch.full((2, 3, 16, 16), 0.6),
            {"template": 25.5},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.errors: list[float] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in one batch: [N, 3, H, W] twice, in [0, 1]."""
        difference = (output.double() - target.double()).abs()
        self.errors += (self.params["scale"] * difference.mean(dim=(1, 2, 3))).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return every image's own value; their mean is the score."""
        return {"template": self.errors}
