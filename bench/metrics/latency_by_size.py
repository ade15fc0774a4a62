"""How long a generator takes as images grow, up to the size where memory ends."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._resolutions import by_size
from bench.metrics._timing import Inputs, times_by_part, times_of


class LatencyBySize(NetworkMetric):
    """Median latency at batch 1 for each of a list of resolutions; infinite where memory ends.

    Values are named `latency_WIDTHxHEIGHT`. Out of memory is a result, not a failure: the value is
    infinite, and tables print OOM. On a CPU a size that would not fit into what is free is not
    tried: beside the infinite value stands `predicted_WIDTHxHEIGHT`, 1. A side is cut down to the
    multiple that the network needs.

    A network of style transfer is timed as the whole system: both encodings, all transforms, the
    decoding; without the guided filter, of which the paper does not say whether it counts. Where a
    network says which `parts` it has, and is not compiled, each is timed apart, in further calls:
    `encode_WIDTHxHEIGHT` and so on, medians, in ms too.
    """

    defaults = {
        "sizes": [
            [1280, 720], [1920, 1080], [2560, 1440], [3840, 2160], [5120, 2880], [7680, 4320],
        ],
        "warmup": 3,
        "runs": 10,
    }  # fmt: skip
    version = 2
    source = "PCA-KD, Table 1: HD, FHD, QHD, 4K, 5K, 8K"
    label = "latency by size"
    unit = "ms"
    better = "lower"
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time every resolution, smallest first."""
        network, runs = network.eval().to(device), self.params["runs"]

        def times(inputs: Inputs) -> Mapping[str, float]:
            whole = {"latency": times_of(network, inputs, self.params["warmup"], runs)}
            parts = times_by_part(network, inputs, runs)
            return {name: float(np.median(spent)) for name, spent in (whole | parts).items()}

        found: dict[str, float] = {}
        for size, values, is_predicted in by_size(network, device, self.params["sizes"], times):
            values = {"latency": math.inf} if values is None else values
            found |= {f"{name}_{size}": value for name, value in values.items()}
            found |= {f"predicted_{size}": 1.0} if is_predicted else {}
        return found
