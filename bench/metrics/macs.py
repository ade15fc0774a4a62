"""Multiply-adds of a generator."""

from __future__ import annotations

import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator


class MACs(NetworkMetric):
    """MACs of one generator for one image; the conventions are those of `bench/maths/count.py`.

    `macs` is the true count (C1). Papers print `macs_c2` (WKD) or `macs_c3` (GAN Compression,
    OMGD, DCD, FESD): compare a paper's number with its own convention only.
    """

    source = "torch.utils.flop_counter's formulas; bench/maths/count.py"
    label = "MACs"
    presets = ("paper", "modern", "offline")
    better = "lower"
    headline = "macs"

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Count on the meta device."""
        found = network.cost()
        return {"macs": found.macs, "macs_c2": found.macs_c2, "macs_c3": found.macs_c3}
