"""How much memory a generator takes as images grow, up to the size where memory ends."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._memory import peak_on_gpu
from bench.metrics._resolutions import by_size
from bench.metrics._timing import Inputs


class MemoryBySize(NetworkMetric):
    """Peak memory, as `peak_memory` has it, for each of a list of resolutions.

    Values are named `peak_memory_WIDTHxHEIGHT`, and infinite where memory ends.
    """

    defaults = {
        "sizes": [
            [1280, 720], [1920, 1080], [2560, 1440], [3840, 2160], [5120, 2880], [7680, 4320],
        ],
    }  # fmt: skip
    source = "torch.cuda.max_memory_allocated; sizes of PCA-KD, Table 1"
    label = "peak memory by size"
    unit = "MiB"
    digits = 1
    better = "lower"
    needs = ("gpu",)
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Try every resolution, smallest first."""
        before = torch.cuda.memory_allocated(device)
        network = network.eval().to(device)

        def peak(inputs: Inputs) -> Mapping[str, float]:
            return {"": (peak_on_gpu(lambda: network(*inputs), device) - before) / 2**20}

        reached = by_size(network, device, self.params["sizes"], peak)
        return {f"peak_memory_{r.name}": r.values[""] if r.values else math.inf for r in reached}
