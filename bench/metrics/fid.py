"""Frechet Inception distance."""

from __future__ import annotations

import functools
import logging

import torch

from bench.contracts.metric import Features, SetMetric
from bench.maths.bootstrap import Draws, Values
from bench.maths.frechet import frechet_distance, resampled_distances


class FID(SetMetric):
    """Frechet distance between Gaussians fitted to the 2048 Inception features of two sets.

    Biased upwards where images are few: 5,000 and 1,000 images of the same two distributions give
    very different values. With fewer than 2048 images in a set its covariance is singular; the
    value is still exact, and the bias is large: KID has none. Where so few are samples, the heading
    of a table and the protocol say so.

    `features` is a file in `bench/features/`: `inception` as torch-fidelity resizes images,
    `inception_pytorch_fid` (what the papers of this field used) or `inception_clean`. Values by
    different ones differ by several points and are different quantities.
    """

    defaults = {"features": "inception"}
    reads = "pool"

    source = "Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6; values of torch-fidelity"
    label = "FID"
    presets = ("paper", "modern")
    better = "lower"
    few = 2048
    checks = {
        "means 1 apart, variances 2 and 8": (
            {"pool": torch.tensor([[0.0], [2.0]])},
            {"pool": torch.tensor([[0.0], [4.0]])},
            {"fid": 1 + (8**0.5 - 2**0.5) ** 2},
        ),
        "the same cloud elsewhere: the squared shift alone": (
            {"pool": torch.eye(3, 4)},
            {"pool": torch.eye(3, 4) + torch.tensor([1.0, 2.0, 0.0, 0.0])},
            {"fid": 5.0},
        ),
    }

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance.

        Raises:
            DataError: a set has fewer than two images.
        """
        a, b = outputs["pool"], real["pool"]
        if min(len(a), len(b)) < a.shape[1]:
            _warn_of_few_images()
        return {"fid": frechet_distance(a, b)}

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Values]:
        """Return the distance of each resample; beyond 1,024 images to first order."""
        return {"fid": resampled_distances(outputs["pool"], real["pool"], draws)}


@functools.cache
def _warn_of_few_images() -> None:
    """Say it once per process."""
    logging.getLogger(__name__).warning(
        "fid: fewer images than features, so the value is far above that of large sets; compare "
        "it with scores of the same number of images only, and look at kid."
    )
