"""Times of single calls of a network, in ms."""

from __future__ import annotations

import time
from typing import Any

import torch

from bench.contracts.network import Generator

Inputs = tuple[torch.Tensor, ...]


def example(
    network: Generator, device: torch.device, batch: int = 1, sides: tuple[int, int] | None = None
) -> Inputs:
    """Return inputs of zeros on a device, of the network's own size unless `sides` are given."""
    with device:
        return network.example(batch, sides)


@torch.inference_mode()
def times_of(network: Generator, inputs: Inputs, warmup: int, runs: int) -> list[float]:
    """Return one time per call: wall time on a CPU, CUDA events around each call on a GPU.

    On a GPU there is one synchronisation, at the end: one per call would time the waiting too.
    """
    for _ in range(warmup):
        network(*inputs)
    return (_on_cuda if inputs[0].is_cuda else _on_cpu)(network, inputs, runs)


def _on_cpu(network: Generator, inputs: Inputs, runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        network(*inputs)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times


def _on_cuda(network: Generator, inputs: Inputs, runs: int) -> list[float]:
    event: Any = torch.cuda.Event
    marks = [[event(enable_timing=True) for _ in range(2)] for _ in range(runs)]
    torch.cuda.synchronize()
    for start, end in marks:
        start.record()
        network(*inputs)
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in marks]
