"""Number of parameters of a generator."""

from __future__ import annotations

import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator


class Params(NetworkMetric):
    """Parameters of one generator, all of them; CycleGAN has two such networks."""

    source = "sum of the sizes of all parameters"
    label = "#Params"
    presets = ("paper", "modern", "offline")
    better = "lower"

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Count on the meta device."""
        return {"params": network.cost().params}
