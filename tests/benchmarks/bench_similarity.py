"""Metrics of image pairs against the libraries that people use for them.

A process of its own measures each setting of the allocator: as it comes, and keeping large blocks
instead of mapping them anew, which helps large batches. In each process all candidates take turns,
round by round, with one thread; a figure is the median over rounds. A peer is measured at several
batch sizes; goals hold best against best, whatever the batch and the allocator. Backbones of LPIPS
are random: speeds do not depend on their values.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from allocators import ALLOCATORS, under_each

SIZE, ROUNDS = 256, 5
PAIRS = {"ssim": 8, "fsim": 8, "lpips_alex": 8, "lpips_squeeze": 8, "lpips_vgg": 2}
BATCHES = (1, 4, 8)
DEFAULT = 8  # what evaluate gives a metric at once
GOALS = {  # (metric, ours): least speed over the peer's
    ("ssim", "ours"): 2.5,
    ("fsim", "ours"): 1.5,
    ("lpips_alex", "ours"): 1.0,
    ("lpips_alex", "ours, second student"): 1.5,
    ("lpips_squeeze", "ours"): 1.0,
    ("lpips_squeeze", "ours, second student"): 1.5,
    ("lpips_vgg", "ours"): 1.0,
    ("lpips_vgg", "ours, second student"): 1.5,
}
NOISE = 0.05  # differences below it mean nothing
ERRORS = {"ssim": 1e-5, "fsim": 2e-5, "lpips": 1e-6}  # absolute; of LPIPS relative


def bench_similarity(benchmark: Any) -> None:
    """Measure under both allocators; print; hold the goals."""
    found: dict[str, Any] = {}

    def run() -> None:
        found.update(under_each(__file__, OMP_NUM_THREADS="1"))

    benchmark.pedantic(run, rounds=1)
    print("\nmetric, candidate: pairs per second under each allocator")
    for name in PAIRS:
        for candidate in found["default"][name]["speeds"]:
            speeds = [found[a][name]["speeds"][candidate] for a in ALLOCATORS]
            print(f"  {name:14} {candidate:22}", *(f"{s:8.2f}" for s in speeds))
    missed, ratios = [], {}
    print("ours over the peer: best against best, and against its default under `default`; error")
    for (name, candidate), goal in GOALS.items():
        ours = max(found[a][name]["speeds"][candidate] for a in ALLOCATORS)
        peers = [found[a][name]["speeds"] for a in ALLOCATORS]
        best = max(s for speeds in peers for key, s in speeds.items() if key.startswith("peer"))
        usual = peers[0][f"peer, {min(DEFAULT, PAIRS[name])} at once"]
        plain = peers[0][candidate]
        error = max(found[a][name]["error"] for a in ALLOCATORS)
        row = {"best": round(ours / best, 2), "default": round(plain / usual, 2), "error": error}
        benchmark.extra_info[f"{name}, {candidate}"] = row
        ratios[f"{name}, {candidate}"] = round(best / ours, 3)
        print(f"  {name:14} {candidate:22} {row} goal {goal}")
        if ours / best < goal * (1 - NOISE) or error > ERRORS[name.partition("_")[0]]:
            missed.append((name, candidate, row))
    benchmark.extra_info["ours_over_peer"] = ratios
    assert not missed


def measure(folder: Path) -> dict[str, Any]:
    """Return speeds in pairs per second, and our error against float64, in this process.

    Weights are written to a folder.
    """
    import torch
    from test_similarity import images, metric, random_backbones

    from bench.fetch import weights
    from bench.metrics import _memo as memo

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    weights.find = random_backbones(folder)
    result = {}
    for name, count in PAIRS.items():
        kind, _, net = name.partition("_")
        output, target = images(count, SIZE, SIZE)
        params = {"nets": [net]} if net else {}
        made, theirs = metric(kind, **params), opponent(kind, net, torch.float32)

        def peer_runs(
            n: int, theirs: Any = theirs, output: Any = output, target: Any = target
        ) -> None:
            for a, b in zip(output.split(n), target.split(n), strict=True):
                theirs(a, b)

        def next_student(made: Any = made, output: Any = output, target: Any = target) -> None:
            made.add(output, target)

        def first_student(run: Callable[[], None] = next_student) -> None:
            memo.shared = memo.Memo(memo.LIMIT)
            run()

        batches = sorted({min(n, count) for n in BATCHES})
        candidates = {f"peer, {n} at once": partial(peer_runs, n) for n in batches}
        candidates["ours"] = first_student
        if kind != "ssim":  # which keeps nothing
            candidates["ours, second student"] = next_student
        speeds = {key: count / seconds for key, seconds in timed(candidates).items()}
        found = next(iter(made.value().values()))
        wanted = float(opponent(kind, net, torch.float64)(output.double(), target.double()))
        error = abs(found - wanted) / (wanted if net else 1.0)
        result[name] = {"speeds": speeds, "error": error}
    return result


def opponent(kind: str, net: str, dtype: Any) -> Callable[[Any, Any], Any]:
    """Return the peer's function of two batches, which gives the mean over them."""
    import piq
    from test_similarity import peer

    if kind == "ssim":
        return partial(piq.ssim, downsample=False)
    if kind == "fsim":
        return partial(piq.fsim, chromatic=False)
    network = peer(net).to(dtype)
    return lambda a, b: network(a, b, normalize=True).mean()


def timed(candidates: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of each, in turns, after a round of warming up."""
    seconds: dict[str, list[float]] = {key: [] for key in candidates}
    for number in range(ROUNDS + 1):
        for key, run in candidates.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[key].append(time.perf_counter() - started)
    return {key: statistics.median(values) for key, values in seconds.items()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(Path(place))))
