"""Segmentation: photographs to classes, on the real pairs of a data set with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Trace
from bench.contracts.segmenter import VOID, read_labels
from bench.contracts.task import Task


class Segmentation(Task):
    """Pixel-wise cross entropy from B, the photograph, to the classes that A shows.

    Trains the segmenter by which mIoU judges generated photographs where no published one fits.
    """

    defaults = {"palette": {}, "void": [], "beta1": 0.9, "beta2": 0.999}
    source = "Long et al. (FCN), CVPR 2015, for the loss"
    directions = {"BtoA": ("B", "A")}
    turns = ("generator",)
    paired = True
    makes = "labels"
    terms = ("cross_entropy",)
    adversarial = ()

    def generator_terms(
        self,
        generators: nn.ModuleDict,
        traces: Mapping[str, Trace],
        keeps: Sequence[str],
    ) -> dict[str, Tensor]:
        """Return the cross entropy, mean over pixels."""
        (trace,) = traces.values()
        labels = read_labels(trace.real.add(1).div(2), self.params["palette"], self.params["void"])
        return {"cross_entropy": F.cross_entropy(trace.output, labels, ignore_index=VOID)}
