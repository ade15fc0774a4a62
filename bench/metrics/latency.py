"""How long a generator takes for one image."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from bench.metric import NetworkMetric
from bench.network import Generator


class Latency(NetworkMetric):
    """Median and quartiles over single calls at batch 1, after warm-up.

    Wall time on the CPU; CUDA events around each call on a GPU, with one synchronisation at the
    end. Measured when nothing else of the run is at work. Device, threads and precision are in
    the score's protocol.
    """

    defaults = {"warmup": 100, "runs": 100}
    source = "protocol of FESD Table 7: batch 1, 100 warm-up calls"
    label = "latency"
    unit = "ms"
    better = "lower"
    headline = "latency"
    alone = True

    @torch.inference_mode()
    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time `runs` calls."""
        network = network.eval().to(device)
        image = torch.zeros(1, 3, network.size, network.size, device=device)
        for _ in range(self.params["warmup"]):
            network(image)
        clock = _on_cuda if device.type == "cuda" else _on_cpu
        times = clock(network, image, self.params["runs"])
        low, median, high = np.percentile(times, [25, 50, 75])
        return {"latency": median, "latency_q1": low, "latency_q3": high}


def _on_cpu(network: Generator, image: torch.Tensor, runs: int) -> list[float]:
    """Return wall times in ms."""
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        network(image)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def _on_cuda(network: Generator, image: torch.Tensor, runs: int) -> list[float]:
    """Return device times in ms."""
    event: Any = torch.cuda.Event
    marks = [[event(enable_timing=True) for _ in range(2)] for _ in range(runs)]
    torch.cuda.synchronize()
    for start, end in marks:
        start.record()
        network(image)
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in marks]
