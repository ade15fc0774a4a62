"""Frechet distance on features of DINOv2."""

from __future__ import annotations

import torch

from bench.contracts.metric import Features, SetMetric
from bench.maths.frechet import frechet_distance


class FDDINOv2(SetMetric):
    """Frechet distance between Gaussians fitted to the 1024 DINOv2 features of two sets.

    FID's formula on the class token of DINOv2's ViT-L/14, with which people agree better than with
    Inception's features in the study of the source. Biased upwards where images are few, as FID is:
    with fewer than 1,024 in a set its covariance is singular; the value is still exact, and the
    bias is large.
    """

    features = "dinov2_vitl14"
    source = (
        "Stein et al., NeurIPS 2023, arXiv:2306.04675; values of layer6ai-labs/dgm-eval "
        "(metrics/fd.py)"
    )
    label = "FD-DINOv2"
    presets = ("modern",)
    better = "lower"
    checks = {
        "means 1 apart, variances 2 and 8": (
            {"token": torch.tensor([[0.0], [2.0]])},
            {"token": torch.tensor([[0.0], [4.0]])},
            {"fd_dinov2": 1 + (8**0.5 - 2**0.5) ** 2},
        ),
        "the same cloud elsewhere: the squared shift alone": (
            {"token": torch.eye(3, 4)},
            {"token": torch.eye(3, 4) + torch.tensor([1.0, 2.0, 0.0, 0.0])},
            {"fd_dinov2": 5.0},
        ),
    }

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance.

        Raises:
            DataError: a set has fewer than two images.
        """
        return {"fd_dinov2": frechet_distance(outputs["token"], real["token"])}
