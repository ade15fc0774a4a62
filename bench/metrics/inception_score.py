"""Inception Score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from bench.contracts.metric import Features, SetMetric
from bench.errors import DataError, SuiteError

SEED = 2020  # of torch-fidelity's shuffle


class InceptionScore(SetMetric):
    """exp of the mean divergence of an output's class probabilities from those of its whole part.

    The outputs are shuffled and cut into `splits` parts; mean and population standard deviation
    over them. Probabilities are those of the logits without their bias. It sees neither the real
    images nor the ground truth, and of photographs that show no class of ImageNet it says little:
    it is here because papers on diffusion print it.
    """

    defaults = {"features": "inception", "splits": 10}
    reads = "logits"
    source = "Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 4; values of torch-fidelity"
    label = "IS"
    better = "higher"
    headline = "inception_score"
    one_set = True
    checks = {
        "ten outputs: each part is one output": (
            {"logits": torch.eye(10) * 20},
            {},
            {"inception_score": 1.0, "inception_score_std": 0.0},
        ),
        "all outputs alike": (
            {"logits": torch.ones(40, 3)},
            {},
            {"inception_score": 1.0, "inception_score_std": 0.0},
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        if params["splits"] < 1:
            raise SuiteError(f"inception_score: splits: should be at least 1: {params['splits']}.")

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return mean and standard deviation over the parts.

        Raises:
            DataError: there are fewer outputs than parts.
        """
        logits, splits = outputs["logits"].double(), self.params["splits"]
        count = len(logits)
        if count < splits:
            raise DataError(f"inception_score: {count} outputs cannot be cut into {splits} parts.")
        shuffled = np.random.RandomState(SEED).permutation(count)
        log_p = logits[shuffled].log_softmax(1)
        scores = []
        for part in (log_p[i * count // splits : (i + 1) * count // splits] for i in range(splits)):
            p = part.exp()
            divergence = (p * (part - p.mean(0).log())).nan_to_num(0.0).sum(1)
            scores.append(float(divergence.mean().exp()))
        return {
            "inception_score": float(np.mean(scores)),
            "inception_score_std": float(np.std(scores)),
        }
