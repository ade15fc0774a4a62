"""What a step asks of a GPU: launches, kernels, time in which any of them runs; and its floor."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

ON_GPU = {"kernel", "gpu_memcpy", "gpu_memset"}  # categories of events in a trace of torch's
BY_HOST = {"cuda_runtime", "cuda_driver"}
LAUNCHES = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


class Launched(NamedTuple):
    """Of one step."""

    launches: float  # calls of the host that give the GPU work; a graph is one
    kernels: float  # what the GPU does one by one, copies among it
    busy_ms: float  # in which at least one of them runs


def profiled(run: Callable[[], None], steps: int, file: Path) -> Launched:
    """Run some steps under torch's profiler, which leaves its trace in a file."""
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profiler:
        run()
        torch.cuda.synchronize()
    profiler.export_chrome_trace(str(file))
    return launched(json.loads(file.read_text())["traceEvents"], steps)


def launched(events: Iterable[Mapping[str, Any]], steps: int) -> Launched:
    """Count a trace's events, of so many steps; times in it are microseconds."""
    calls, spans = 0, []
    for event in events:
        kind = event.get("cat")
        if kind in ON_GPU:
            spans.append((event["ts"], event["ts"] + event["dur"]))
        elif kind in BY_HOST and event["name"].startswith(LAUNCHES):
            calls += 1
    return Launched(calls / steps, len(spans) / steps, covered(spans) / steps / 1e3)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


class Work(NamedTuple):
    """Of one step, by its operators."""

    flops: float  # of convolutions and products, forward and backward; a MAC is two
    bytes: float  # that the operators read and write, each by itself


class _Traffic(TorchDispatchMode):
    """Sums the bytes of what operators read and write; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = (x for x in tree_leaves((args, kwargs, found)) if isinstance(x, Tensor))
            self.bytes += sum(x.nbytes for x in tensors)
        return found


def work_of(run: Callable[[], None]) -> Work:
    """Count what one step does, which is taken."""
    with FlopCounterMode(display=False) as flops, _Traffic() as traffic:
        run()
    return Work(flops.get_total_flops(), traffic.bytes)


class Peaks(NamedTuple):
    """What the machine gives at most, as measured."""

    flops: float  # per second, of a product of large square matrices
    bytes: float  # per second, of a copy


def peaks(device: torch.device, precision: str) -> Peaks:
    """Measure; in the precision that a suite names, with the flags as they are."""
    is_cuda = device.type == "cuda"
    side, count = (8192, 2**28) if is_cuda else (256, 2**18)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.ones(side, side, device=device, dtype=dtype)
    numbers = torch.ones(count, device=device)
    copy = torch.empty_like(numbers)
    product = seconds(lambda: a @ a, device, 5)
    copied = seconds(lambda: copy.copy_(numbers), device, 10)
    return Peaks(2 * side**3 / product, 2 * numbers.nbytes / copied)


def seconds(call: Callable[[], object], device: torch.device, count: int) -> float:
    """Return the time of a call on the present stream, the mean of `count` after one more."""
    call()
    if device.type != "cuda":
        started = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - started) / count
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / count
