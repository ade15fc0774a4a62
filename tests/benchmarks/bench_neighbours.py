"""Precision, recall, density and coverage against `prdc`: 5,000 features of 2,048 numbers each side."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from typing import Any

import pytest
import torch
from prdc import compute_prdc

from bench.metrics._neighbours import counts

IMAGES, FEATURES, ROUNDS = 5000, 2048, 3


def bench_four_fractions_of_two_sets(benchmark: Any) -> None:
    """Goal: at most half of the time of prdc, and equal to 1e-6."""
    made = torch.Generator().manual_seed(0)
    real, outputs = torch.randn(2, IMAGES, FEATURES, generator=made).relu()
    times: dict[str, list[float]] = {"ours": [], "prdc": []}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ours = counts.__wrapped__(outputs, real, 5)
        middle = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the numbers of images
            theirs = compute_prdc(real.numpy(), outputs.numpy(), nearest_k=5)
        times["ours"].append(middle - started)
        times["prdc"].append(time.perf_counter() - middle)
    assert ours._asdict() == pytest.approx(theirs, abs=1e-6)
    ratio = statistics.median(times["ours"]) / statistics.median(times["prdc"])
    benchmark.extra_info["ours_over_peer"] = {"prdc": ratio}
    print(f"{ratio:.2f} of the time of prdc")
    benchmark.pedantic(counts.__wrapped__, (outputs, real, 5), rounds=1)
