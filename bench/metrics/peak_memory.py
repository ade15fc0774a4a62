"""How much memory a generator takes for one image."""

from __future__ import annotations

import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics._memory import peak_on_gpu
from bench.metrics._timing import example


class PeakMemory(NetworkMetric):
    """Peak of what torch's allocator hands out on the GPU for one image, weights included.

    Batch 1, no gradients. The workspace of cuDNN counts, the CUDA context does not.
    """

    source = "torch.cuda.max_memory_allocated"
    label = "peak memory"
    unit = "MiB"
    digits = 1
    better = "lower"
    needs = ("gpu",)
    alone = True

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Run one image after a warm-up call, from an empty cache."""
        before = torch.cuda.memory_allocated(device)
        network = network.eval().to(device)
        inputs = example(network, device)
        peak = peak_on_gpu(lambda: network(*inputs), device)
        return {"peak_memory": (peak - before) / 2**20}
