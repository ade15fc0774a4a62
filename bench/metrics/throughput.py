"""How many images a generator makes in a second."""

from __future__ import annotations

import numpy as np
import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._timing import example, times_of


class Throughput(NetworkMetric):
    """Images per second: batch size over the median time of a call, after warm-up."""

    defaults = {"batch": 64, "warmup": 3, "runs": 30}
    source = "protocol of SD, Figure 6: batch 64, 30 runs"
    label = "throughput"
    unit = "images/s"
    digits = 1
    better = "higher"
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time `runs` calls."""
        network = network.eval().to(device)
        batch = self.params["batch"]
        images = example(network, device, batch)
        times = times_of(network, images, self.params["warmup"], self.params["runs"])
        return {"throughput": batch / float(np.median(times)) * 1000}
