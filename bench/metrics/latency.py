"""How long a generator takes for one image."""

from __future__ import annotations

import numpy as np
import torch

from bench.contracts.metric import NetworkMetric
from bench.contracts.network import Generator
from bench.metrics import _by_onnxruntime
from bench.metrics._timing import example, times_of


class Latency(NetworkMetric):
    """Median, quartiles and mean over single calls at batch 1, after warm-up.

    Wall time on the CPU; CUDA events around each call on a GPU, with one synchronisation at the
    end. Measured when nothing else of the run is at work. FESD runs the whole test set: set `runs`
    to its number of images; what they show changes nothing. Device, threads, precision, layout and
    versions are in the score's protocol.

    With `engine: onnxruntime` the network is exported to ONNX first and timed in onnxruntime, which
    is what many deploy: wall time, in float32, with torch's number of threads. The engine and its
    version are part of the protocol; there is no score where onnxruntime is not installed
    (`distillbench[export]`) or the network cannot be exported.
    """

    defaults = {"warmup": 100, "runs": 100, "engine": "torch"}
    choices = {"engine": ("torch", "onnxruntime")}
    added = ("engine",)
    version = 2
    source = "protocol of FESD Table 7: batch 1, 100 warm-up calls"
    label = "latency"
    presets = ("paper", "modern", "offline")
    unit = "ms"
    better = "lower"
    headline = "latency"
    alone = True

    def protocol(self) -> dict[str, str]:
        """Return the engine and its version, where it is not the one that trains."""
        return _by_onnxruntime.versions() if self.params["engine"] == "onnxruntime" else {}

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Time `runs` calls."""
        warmup, runs = self.params["warmup"], self.params["runs"]
        if self.params["engine"] == "onnxruntime":
            times = _by_onnxruntime.times_of(network, device, warmup, runs)
        else:
            network = network.eval().to(device)
            times = times_of(network, example(network, device), warmup, runs)
        low, median, high = np.percentile(times, [25, 50, 75])
        found = {"latency": median, "latency_q1": low, "latency_q3": high}
        return {**found, "latency_mean": float(np.mean(times))}
