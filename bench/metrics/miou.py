"""Mean intersection over union: does the generated photograph show what the labels say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contracts.metric import LabelMetric


class MIoU(LabelMetric):
    """IoU per class from one confusion matrix over all images, and the mean over classes.

    A class that neither the labels nor the predictions contain has no IoU and does not count. A
    mean over images of per-image values is another metric. Pixels labelled 255 are left out.

    `segmenter` is a file in `bench/segmenters/`, or `trained`: a small network that the plan
    trains on the data set's own real pairs for `steps` steps; then the score's protocol names its
    cell. Scores by different segmenters are different quantities. Logits are resized to
    the labels, which the data set gives at a size of their own (Cityscapes as its makers give it:
    2048 x 1024 pixels, with `drn_d_105` the papers' protocol) or at that of the images; the
    protocol states it.
    """

    defaults = {"segmenter": "trained", "steps": 1000, "width": 16, "batch": 8}
    source = "Cordts et al. (Cityscapes), CVPR 2016, section 4.1"
    label = "mIoU"
    digits = 4
    better = "higher"
    headline = "miou"
    checks = {
        "perfect": (torch.arange(4).view(1, 2, 2), torch.arange(4).view(1, 2, 2), 4, {"miou": 1.0}),
        "half of one class taken for the other; a third that occurs nowhere": (
            torch.tensor([[[0, 1], [1, 1]]]),
            torch.tensor([[[0, 0], [1, 1]]]),
            3,
            {"miou": (1 / 2 + 2 / 3) / 2, "iou_0": 1 / 2, "iou_1": 2 / 3},
        ),
        "a pixel of a class that the labels do not have": (
            torch.tensor([[[0, 2], [1, 1]]]),
            torch.tensor([[[0, 0], [1, 1]]]),
            2,
            {"miou": 0.75, "iou_0": 1 / 2},
        ),
        "a pixel without a label": (
            torch.tensor([[[0, 1], [1, 1]]]),
            torch.tensor([[[0, 255], [1, 1]]]),
            2,
            {"miou": 1.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any], classes: Sequence[str]) -> None:
        super().__init__(params, classes)
        side = len(classes) + 1  # the last is for what the segmenter sees and the labels lack
        self.confusion = torch.zeros(side, side, dtype=torch.int64)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count the pixels of every pair of classes."""
        side = len(self.confusion)
        known = labels < side - 1
        pairs = labels[known] * side + predicted[known]
        self.confusion += torch.bincount(pairs.cpu(), minlength=side**2).view(side, side)

    def value(self) -> dict[str, float]:
        """Return `miou`, and `iou_CLASS` of each class that occurs."""
        matrix = self.confusion.double()
        common = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - common
        found = {
            f"iou_{name}": float(common[i] / union[i])
            for i, name in enumerate(self.classes)
            if union[i]
        }
        return {"miou": sum(found.values()) / len(found), **found}
