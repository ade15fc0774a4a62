"""Times of single calls of a network in onnxruntime, in ms."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

import torch

from bench.contracts.metric import NoScore
from bench.contracts.network import Generator
from bench.errors import ExportError
from bench.onnx.convert import convert
from bench.onnx.session import Session


def versions() -> dict[str, str]:
    """Return what computes, and its version; "missing" where it is not installed."""
    try:
        return {"engine": "onnxruntime", "onnxruntime": metadata.version("onnxruntime")}
    except metadata.PackageNotFoundError:
        return {"engine": "onnxruntime", "onnxruntime": "missing"}


def times_of(network: Generator, device: torch.device, warmup: int, runs: int) -> list[float]:
    """Return the wall time of each call at batch 1, of the network's own size, in float32.

    With as many threads as torch has; on a GPU, copies to it and back count.

    Raises:
        NoScore: the network cannot be exported, or onnxruntime is not here or not for this device;
            or the suite asks for another precision.
    """
    backends: Any = torch.backends
    if torch.is_autocast_enabled(device.type) or backends.fp32_precision == "tf32":
        raise NoScore("an ONNX file computes in float32, and this suite does not")
    try:
        network = network.twin().eval()  # neither compiled nor on a device
        inputs = network.example()
        session = Session(convert(network, inputs), device.type, torch.get_num_threads())
        arrays = [x.numpy() for x in inputs]
        for _ in range(warmup):
            session(*arrays)
    except ExportError as error:
        raise NoScore(str(error).rstrip(".")) from error
    except Exception as error:  # torch's exporter has errors of many kinds
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise NoScore(f"cannot be exported to ONNX ({said[:200]})") from error
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        session(*arrays)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return times
