"""How long a generator takes as images grow, up to the size where memory ends."""

from __future__ import annotations

import math

import numpy as np
import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._timing import example, times_of


class LatencyBySize(NetworkMetric):
    """Median latency at batch 1 for each of a list of resolutions; infinite where memory ends.

    Values are named `latency_WIDTHxHEIGHT`. Out of memory is a result, not a failure: the value is
    infinite, and tables print OOM. A side is cut down to the multiple that the network needs.
    """

    defaults = {
        "sizes": [[1280, 720], [1920, 1080], [2560, 1440], [3840, 2160], [7680, 4320]],
        "warmup": 3,
        "runs": 10,
    }
    source = "PCA-KD, Table 1: HD, FHD, 2K, 4K, 8K"
    label = "latency by size"
    unit = "ms"
    better = "lower"
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time every resolution, smallest first."""
        network = network.eval().to(device)
        found = {}
        for width, height in sorted(self.params["sizes"], key=math.prod):
            multiple = network.multiple
            sides = (height // multiple * multiple, width // multiple * multiple)
            name = f"latency_{width}x{height}"
            try:
                inputs = example(network, device, sides=sides)
                times = times_of(network, inputs, self.params["warmup"], self.params["runs"])
                found[name] = float(np.median(times))
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                found[name] = math.inf
        return found


def _is_out_of_memory(error: Exception) -> bool:
    """Tell a failed allocation, on a GPU or a CPU, from other errors."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
