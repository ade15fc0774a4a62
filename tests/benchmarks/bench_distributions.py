"""FID against torch-fidelity: features from files, a second student, the Frechet distance alone.

torch-fidelity runs at its default batch of 64 and at smaller ones that suit a CPU better, with its
workers and without; both sides run under glibc's default allocator settings and under settings
that keep large tensors mapped. "best" is the best of all these, for either side. The contestants
take turns in one process; ratios are of medians. Weights are random, with calibrated batch norms.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from allocators import ALLOCATORS, under_each
from inception_weights import photographs, torch_fidelity, write
from PIL import Image
from safetensors.torch import load_file, save_file
from torch_fidelity.datasets import ImagesPathDataset, TransformPILtoRGBTensor
from torch_fidelity.metric_fid import (
    calculate_fid,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.utils import get_featuresdict_from_dataset

from bench.contracts.image import decode
from bench.evaluate.generate import BATCH
from bench.features.inception import Inception
from bench.fetch import weights
from bench.maths.frechet import frechet_distance, frechet_of_moments
from bench.metrics.fid import FID

IMAGES, ROUNDS = 64, 3
Contestants = dict[str, Callable[[], Any]]


def in_turns(contestants: Contestants, rounds: int) -> dict[str, float]:
    """Return the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in times.items()}


def our_features(extractor: Inception, folder: Path) -> torch.Tensor:
    files = sorted(folder.glob("*.png"))
    found = []
    for first in range(0, len(files), BATCH):
        pixels = np.stack([decode(file) for file in files[first : first + BATCH]])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        found.append(extractor(images, first)["pool"])
    return torch.cat(found)


def features(folder: Path) -> Contestants:
    """Features of a student's PNG files, decoding included."""
    ours, theirs = Inception(torch.device("cpu")), torch_fidelity(folder / "inception.pth")
    files = sorted(str(file) for file in (folder / "student").glob("*.png"))
    dataset = ImagesPathDataset(files, TransformPILtoRGBTensor())

    def peer(batch: int, no_workers: bool) -> Callable[[], Any]:
        return lambda: get_featuresdict_from_dataset(
            dataset, theirs, batch, False, no_workers, False
        )["2048"]

    found, wanted = our_features(ours, folder / "student"), peer(8, True)()
    assert float((found - wanted).abs().max() / wanted.std()) < 1e-3
    return {
        "ours": lambda: our_features(ours, folder / "student"),
        "peer 64 (default)": peer(64, False),
        "peer 16": peer(16, False),
        "peer 16, no workers": peer(16, True),
        "peer 8, no workers": peer(8, True),
    }


def second_student(folder: Path) -> Contestants:
    """FID from files to number, networks loaded anew; the real set was seen before."""

    def ours() -> float:
        extractor = Inception(torch.device("cpu"))
        outputs = {"pool": our_features(extractor, folder / "student")}
        return FID({}).distance(outputs, load_file(folder / "real.safetensors"))["fid"]

    def peer(batch: int, no_workers: bool) -> Callable[[], float]:
        def run() -> float:
            with contextlib.redirect_stderr(None):
                found: dict[str, float] = calculate_fid(
                    input1=str(folder / "student"),
                    input2=str(folder / "real"),
                    input2_cache_name="real",
                    cache_root=str(folder / "cache"),
                    feature_extractor_weights_path=str(folder / "inception.pth"),
                    batch_size=batch,
                    save_cpu_ram=no_workers,
                    cuda=False,
                    verbose=False,
                )
            return found["frechet_inception_distance"]

        return run

    real = our_features(Inception(torch.device("cpu")), folder / "real")
    save_file({"pool": real}, folder / "real.safetensors")
    wanted = peer(16, True)()  # fills the peer's cache
    assert abs(ours() - wanted) <= 1e-4 * wanted
    return {
        "ours": ours,
        "peer 64 (default)": peer(64, False),
        "peer 16": peer(16, False),
        "peer 16, no workers": peer(16, True),
    }


def compare(work: str, folder: Path, benchmark: Any, best: float, default: float) -> None:
    """Measure under both allocators, each in a process of its own; print, and hold the goals."""
    found: dict[str, dict[str, float]] = {}

    def run() -> None:
        found.update(under_each(__file__, work, str(folder)))

    for number, name in enumerate(("student", "real")):
        (folder / name).mkdir()
        for i, image in enumerate(photographs(IMAGES, 256, seed=number)):
            pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
            pixels.save(folder / name / f"{i:03}.png")
    write(folder / "inception.pth", photographs(8, 256, seed=2))
    benchmark.pedantic(run, rounds=1)
    print(f"\n{work}, {IMAGES} images of 256 px, {torch.get_num_threads()} threads:")
    for contestant in found["default"]:
        times = "  ".join(f"{found[a][contestant]:7.2f} s {a}" for a in ALLOCATORS)
        print(f"  {contestant:22} {times}")
    ours = min(times["ours"] for times in found.values())
    peers = [t for times in found.values() for name, t in times.items() if name != "ours"]
    ratios = {
        "best to best": round(ours / min(peers), 3),
        "both default": round(found["default"]["ours"] / found["default"]["peer 64 (default)"], 3),
    }
    benchmark.extra_info |= {
        "ours_over_peer": ratios,
        "seconds": {a: {k: round(v, 3) for k, v in found[a].items()} for a in found},
    }
    print(f"  ratios: {benchmark.extra_info}")
    assert ratios["best to best"] <= 1 / best
    assert ratios["both default"] <= 1 / default


def bench_features_from_files(benchmark: Any, tmp_path: Path) -> None:
    compare("features", tmp_path, benchmark, best=1.6, default=2.5)


def bench_fid_of_a_second_student(benchmark: Any, tmp_path: Path) -> None:
    compare("second_student", tmp_path, benchmark, best=2.0, default=2.5)


def bench_frechet_distance(benchmark: Any) -> None:
    """Of 2048 features: 1,000 images from features; 5,000 from means and covariances.

    Accuracy is held against a scaled copy of the set, whose distance has a closed form.
    """
    random = np.random.default_rng(0)
    mixing = random.standard_normal((2048, 2048)) * np.exp(-np.arange(2048) / 300) / 16
    draws = [random.standard_normal((n, 2048)) @ mixing.T + 0.4 for n in (1000, 1000, 5000, 5000)]
    few, many = draws[:2], draws[2:]
    given = [fid_features_to_statistics(torch.from_numpy(x)) for x in many]
    moments = [(g["mu"], g["sigma"]) for g in given]
    few_tensors = [torch.from_numpy(x) for x in few]

    def scaled(x: np.ndarray) -> float:
        return 0.25 * float(np.square(x.mean(0)).sum() + x.var(0, ddof=1).sum())

    wanted = scaled(few[0])
    absolute = abs(frechet_distance(few_tensors[0], few_tensors[0] * 1.5) - wanted)
    wanted = scaled(many[0])
    mean, cov = moments[0]
    relative = abs(frechet_of_moments(mean, cov, 1.5 * mean, 2.25 * cov) / wanted - 1)

    def peer_of_features() -> None:
        fid_statistics_to_metric(*(fid_features_to_statistics(x) for x in few_tensors), False)

    contestants: Contestants = {
        "1,000 images: ours": lambda: frechet_distance(*few_tensors),
        "1,000 images: peer": peer_of_features,
        "5,000 images: ours": lambda: frechet_of_moments(*moments[0], *moments[1]),
        "5,000 images: peer": lambda: fid_statistics_to_metric(*given, False),
    }
    times: dict[str, float] = {}
    benchmark.pedantic(lambda: times.update(in_turns(contestants, ROUNDS)), rounds=1)
    ratios = {
        n: times[f"{n}: ours"] / times[f"{n}: peer"] for n in ("1,000 images", "5,000 images")
    }
    benchmark.extra_info |= {name: f"{1e3 * t:.0f} ms" for name, t in times.items()} | {
        "ours_over_peer": {name: round(ratio, 4) for name, ratio in ratios.items()},
        "absolute_error_few": absolute,
        "relative_error_many": relative,
    }
    print(f"\nFrechet distance: {benchmark.extra_info}")
    assert absolute <= 1e-6
    assert relative <= 1e-9
    assert ratios["1,000 images"] <= 1 / 9
    assert ratios["5,000 images"] <= 1 / 2.5


def main(work: str, folder: Path) -> None:
    """Measure one kind of work in this process, whose allocator is set by its environment."""
    weights.find = lambda name: folder / f"{name}.pth"
    contestants = {"features": features, "second_student": second_student}[work](folder)
    print(json.dumps(in_turns(contestants, ROUNDS)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
