"""Times of single calls of a network, in ms."""

from __future__ import annotations

import time
from typing import Any

import torch

from bench.contracts.network import Generator


@torch.inference_mode()
def times_of(network: Generator, image: torch.Tensor, warmup: int, runs: int) -> list[float]:
    """Return one time per call: wall time on a CPU, CUDA events around each call on a GPU.

    On a GPU there is one synchronisation, at the end: one per call would time the waiting too.
    """
    for _ in range(warmup):
        network(image)
    return (_on_cuda if image.is_cuda else _on_cpu)(network, image, runs)


def _on_cpu(network: Generator, image: torch.Tensor, runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        network(image)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def _on_cuda(network: Generator, image: torch.Tensor, runs: int) -> list[float]:
    event: Any = torch.cuda.Event
    marks = [[event(enable_timing=True) for _ in range(2)] for _ in range(runs)]
    torch.cuda.synchronize()
    for start, end in marks:
        start.record()
        network(image)
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in marks]
