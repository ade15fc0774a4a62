"""How long a generator takes for one image."""

from __future__ import annotations

import numpy as np
import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._timing import example, times_of


class Latency(NetworkMetric):
    """Median, quartiles and mean over single calls at batch 1, after warm-up.

    Wall time on the CPU; CUDA events around each call on a GPU, with one synchronisation at the
    end. Measured when nothing else of the run is at work. FESD runs the whole test set: set `runs`
    to its number of images; what they show changes nothing. Device, threads, precision, layout and
    versions are in the score's protocol.
    """

    defaults = {"warmup": 100, "runs": 100}
    version = 2
    source = "protocol of FESD Table 7: batch 1, 100 warm-up calls"
    label = "latency"
    presets = ("paper", "modern", "offline")
    unit = "ms"
    better = "lower"
    headline = "latency"
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time `runs` calls."""
        network = network.eval().to(device)
        times = times_of(
            network, example(network, device), self.params["warmup"], self.params["runs"]
        )
        low, median, high = np.percentile(times, [25, 50, 75])
        found = {"latency": median, "latency_q1": low, "latency_q3": high}
        return {**found, "latency_mean": float(np.mean(times))}
