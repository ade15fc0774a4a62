"""200 bootstrap resamples of FID against 200 calls of torch-fidelity's own Frechet distance.

The peer is timed on two resamples, from features to number, and taken 100 times; its own values
are half of the digits there (fewer images than features), so equality is held against ours of the
repeated features. The others are ratios to the score that an error belongs to.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from inception_weights import photographs
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from bench.features.laplacian import Laplacian
from bench.maths.bootstrap import RESAMPLES, draw
from bench.maths.frechet import frechet_distance, resampled_distances
from bench.metrics.kid import KID
from bench.metrics.swd import SWD

PEER = 2  # resamples that the peer computes


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def features(images: int) -> list[torch.Tensor]:
    random = np.random.default_rng(0)
    mixing = random.standard_normal((2048, 2048)) * np.exp(-np.arange(2048) / 300) / 16
    return [
        torch.from_numpy(random.standard_normal((images, 2048)) @ mixing.T + 0.4) for _ in range(2)
    ]


@pytest.mark.parametrize("images", [120, 500])
def bench_resampled_fids(benchmark: Any, images: int) -> None:
    a, b = features(images)
    draws = draw(images, images)

    def repeated(x: torch.Tensor, counts: np.ndarray) -> torch.Tensor:
        return x[torch.from_numpy(np.repeat(np.arange(images), counts))]

    pairs = [
        (repeated(a, i), repeated(b, j))
        for i, j in zip(draws.outputs[:PEER], draws.real[:PEER], strict=True)
    ]

    def peer() -> None:
        for pair in pairs:
            fid_statistics_to_metric(*(fid_features_to_statistics(x) for x in pair), False)

    times: dict[str, float] = {}

    def run() -> None:
        times["ours"] = seconds(lambda: resampled_distances(a, b, draws))
        times["peer"] = seconds(peer) * RESAMPLES / PEER

    benchmark.pedantic(run, rounds=1)
    found = resampled_distances(a, b, draws)[:PEER]
    assert found == pytest.approx([frechet_distance(*pair) for pair in pairs], rel=1e-9)
    ratio = times["peer"] / times["ours"]
    benchmark.extra_info |= {"images": images, "peer_over_ours": round(ratio, 1), **times}
    print(f"\n{RESAMPLES} resamples of FID: {benchmark.extra_info}")
    assert ratio >= 50


def bench_errors_beside_their_scores(benchmark: Any) -> None:
    """KID and SWD of 200 images: the time of the error over that of the score."""
    a, b = features(200)
    extractor, noise = Laplacian(torch.device("cpu")), torch.Generator().manual_seed(0)
    images = photographs(200, 64, seed=0).float() / 255
    grain = 0.1 * torch.rand(images.shape, generator=noise)
    sides = [extractor(x, 0) for x in (images + grain, images)]
    draws, kid, swd = draw(200, 200, paired=True), KID(KID.defaults), SWD({})
    pools = {"pool": a}, {"pool": b}
    times: dict[str, float] = {}

    def run() -> None:
        times["kid"] = seconds(lambda: kid.distance(*pools))
        times["kid error"] = seconds(lambda: kid.resampled(*pools, draws))
        times["swd"] = seconds(lambda: swd.distance(*sides))
        times["swd error"] = seconds(lambda: swd.resampled(*sides, draws))

    benchmark.pedantic(run, rounds=1)
    ratios = {n: round(times[f"{n} error"] / times[n], 2) for n in ("kid", "swd")}
    benchmark.extra_info |= {"error_over_score": ratios, **times}
    print(f"\nerrors beside scores: {benchmark.extra_info}")
    assert ratios["kid"] <= 20
    assert ratios["swd"] <= 5
