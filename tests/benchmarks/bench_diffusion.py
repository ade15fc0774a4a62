"""A training step and sampling of the diffusion task against diffusers, and a worker's start.

Peers take turns round by round in one process, on one thread, and CPU time is what counts, so that
a machine which others share is busy for both. The peer's network has the same layers: as many
parameters and MACs.
"""

from __future__ import annotations

import pickle
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.train.batches import Batches
from bench.train.items import items
from bench.train.learner import Learner, open_task

SUITES = Path(__file__).parents[2] / "suites"
CPU = torch.device("cpu")
WIDTH, SIZE, SAMPLES, STEPS = 32, 32, 256, 20
MULTIPLES = (1, 2, 2)  # of the suite's `lite`
STARTS = """
import pickle, sys, torch
from bench.run import worker
from bench.train.learner import Learner
with open(sys.argv[1], "rb") as file:
    cell = pickle.load(file)
worker.configure("cpu", 1, cell.numerics)
Learner(cell, torch.device("cpu"), None)
assert "diffusers" not in sys.modules
"""


def undistilled(suite: str, *overrides: str) -> Cell:
    plan = expand(load(SUITES / suite, overrides))
    return next(e.cell for e in plan.students if e.method == "none" and e.cell)


def ours_of_nightly() -> Cell:
    how = (f"widths=[{WIDTH}]", f"outputs.samples={SAMPLES}", f"outputs.steps={STEPS}")
    return undistilled("diffusion_nightly.yaml", *how, "outputs.batch=64")


def peer_network(diffusers: Any, count: int) -> Any:
    """Return the peer's network of the same layers."""
    torch.manual_seed(0)
    made = diffusers.UNet2DModel(
        sample_size=SIZE,
        block_out_channels=tuple(m * WIDTH for m in MULTIPLES),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=32,
    )
    assert sum(p.numel() for p in made.parameters()) == count
    return made


def in_turn(
    rounds: int, warmup: int, ours: Callable[[int], Any], theirs: Callable[[int], Any]
) -> dict[str, Any]:
    """Return CPU times of both, and of ours over theirs the median and the ratio of the fastest."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    walls: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(rounds + warmup):
        for name, act in (("ours", ours), ("theirs", theirs)):
            wall, start = time.perf_counter(), time.process_time()
            act(number)
            if number >= warmup:
                spent[name].append(time.process_time() - start)
                walls[name].append(time.perf_counter() - wall)
    return summary(spent) | {"wall": summary(walls)["ours_over_peer"]["median"]}


def summary(spent: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(spent["ours"], spent["theirs"], strict=True)]
    return {
        "ours_over_peer": {"median": round(statistics.median(ratios), 3)},
        "fastest": round(min(spent["ours"]) / min(spent["theirs"]), 3),
        "ours_ms": round(1e3 * statistics.median(spent["ours"]), 1),
        "theirs_ms": round(1e3 * statistics.median(spent["theirs"]), 1),
    }


def bench_a_training_step_against_diffusers(benchmark: Any) -> None:
    """32 px, width 32, batch 16: loss, gradient, AdamW and averages; goal 0.95."""
    diffusers = pytest.importorskip("diffusers")
    from diffusers.training_utils import EMAModel

    torch.set_num_threads(1)
    cell = ours_of_nightly()
    learner = Learner(cell, CPU, None)
    batch = Batches(cell, learner.task)[0]
    count = sum(p.numel() for p in learner.students[0].generators.parameters())
    network, scheduler = peer_network(diffusers, count), diffusers.DDPMScheduler()
    averages = EMAModel(network.parameters(), decay=0.9999)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)

    def theirs(step: int) -> None:
        noisy = scheduler.add_noise(batch["A"], batch["noise"], batch["time"])
        loss = F.mse_loss(network(noisy, batch["time"]).sample, batch["noise"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        averages.step(network.parameters())

    def ours(step: int) -> None:
        learner.update(step, 1e-3, batch, None)

    found: dict[str, Any] = {}
    benchmark.pedantic(lambda: found.update(in_turn(20, 3, ours, theirs)), rounds=1)
    benchmark.extra_info |= found
    print(f"\ntraining step: {found}")
    assert found["ours_over_peer"]["median"] <= 0.95


def bench_sampling_against_diffusers(benchmark: Any) -> None:
    """256 images of 32 px in 20 steps, in batches of 64, from noise to images; goal 0.9."""
    diffusers = pytest.importorskip("diffusers")
    torch.set_num_threads(1)
    cell = ours_of_nightly()
    task, player = open_task(cell), Learner(cell, CPU, None).students[0]
    count = sum(p.numel() for p in player.generators.parameters())
    scheduler = diffusers.DDIMScheduler(clip_sample=True)
    pipeline = diffusers.DDIMPipeline(peer_network(diffusers, count).eval(), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    batches = list(items(cell, task, "sample", "test", 64, CPU))
    assert sum(len(given["noise"]) for given in batches) == SAMPLES

    @torch.no_grad()
    def ours(number: int) -> None:
        given = batches[number % len(batches)]
        task.make(player.judged(), "sample", given, cell.outputs)

    def theirs(number: int) -> None:
        pipeline(
            batch_size=64,
            num_inference_steps=STEPS,
            use_clipped_model_output=True,
            output_type="np",
        )

    found: dict[str, Any] = {}  # the first of five rounds warms up; the others make 256 images
    benchmark.pedantic(lambda: found.update(in_turn(4, 1, ours, theirs)), rounds=1)
    benchmark.extra_info |= found
    print(f"\nsampling: {found}")
    assert found["ours_over_peer"]["median"] <= 0.9


def bench_the_start_of_a_worker(benchmark: Any, tmp_path: Path) -> None:
    """CPU time from nothing to what trains, against that of translation; goal 1.1."""
    cells = {
        "ours": undistilled("diffusion_quick.yaml"),
        "theirs": undistilled("quick.yaml"),
    }
    for name, cell in cells.items():
        (tmp_path / name).write_bytes(pickle.dumps(cell))
    spent: dict[str, list[float]] = {name: [] for name in cells}

    def start(name: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", STARTS, str(tmp_path / name)], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def rounds() -> None:
        for number in range(6):
            for name in cells:
                took = start(name)
                if number:  # the first reads files from the disk
                    spent[name].append(took)

    benchmark.pedantic(rounds, rounds=1)
    found = summary(spent)
    benchmark.extra_info |= found
    print(f"\nstart of a worker: {found}")
    assert found["ours_over_peer"]["median"] <= 1.1
