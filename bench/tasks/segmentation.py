"""Segmentation: photographs to classes, on the real pairs of a data set with labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.task import Batch, Networks, Task, Turn
from bench.maths.labels import VOID, read_labels


class Segmentation(Task):
    """Pixel-wise cross entropy from B, the photograph, to the classes that A shows.

    Trains the segmenter by which mIoU judges generated photographs where no published one fits.
    """

    defaults = {"palette": {}, "void": [], "beta1": 0.9, "beta2": 0.999}
    source = "Long et al. (FCN), CVPR 2015, for the loss"
    directions = {"BtoA": ("B", "A")}
    paired = True
    makes = "labels"
    terms = ("cross_entropy",)

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the cross entropy, mean over pixels."""
        if "cross_entropy" not in turn.keeps:
            return {}
        (trace,) = turn.traces.values()
        labels = read_labels(trace.real.add(1).div(2), self.params["palette"], self.params["void"])
        return {"cross_entropy": F.cross_entropy(trace.output, labels, ignore_index=VOID)}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Return the real photographs: it is on these that a segmenter is judged."""
        return items["B"]
