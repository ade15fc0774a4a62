"""The loop against the same step in a bare loop: what the harness costs.

Both advance step by step in turn in one process, on the same batches, so that a noisy machine is
noisy for both. The bare loop is what a paper's script would have: forward, discriminator step,
generator step; no seeds per step, no loss log, no checkpoints, no cohort.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import by_method, tiny_plan, train_together

from bench.store.layout import Store
from bench.train.batches import Batches
from bench.train.learner import Learner, open_task

STEPS, WARMUP = 120, 20


def bare_loop(cell: Any) -> Any:
    """Return a function that takes one Pix2Pix step."""
    player = Learner(cell, torch.device("cpu"), None).students[0]
    made, judge = player.generators["AtoB"], player.discriminators["AtoB"]
    optimisers = [
        torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999), fused=True)
        for net in (made, judge)
    ]

    def step(batch: dict[str, torch.Tensor]) -> None:
        a, b = batch["A"], batch["B"]
        fake, _ = made(a)
        for p in judge.parameters():
            p.requires_grad_(True)
        (on_fake,), _ = judge(torch.cat([a, fake.detach()], 1))
        (on_real,), _ = judge(torch.cat([a, b], 1))
        loss = 0.5 * (F.softplus(on_fake).mean() + F.softplus(-on_real).mean())
        optimisers[1].zero_grad()
        loss.backward()
        optimisers[1].step()
        for p in judge.parameters():
            p.requires_grad_(False)
        (logits,), _ = judge(torch.cat([a, fake], 1))
        loss = F.softplus(-logits).mean() + 100 * F.l1_loss(fake, b)
        optimisers[0].zero_grad()
        loss.backward()
        optimisers[0].step()

    return step


@pytest.mark.parametrize(
    ("architecture", "width", "size", "batch"),
    [("unet", 8, 64, 4), ("resnet9", 8, 64, 1), ("resnet9", 16, 128, 1)],
)
def bench_overhead(
    benchmark: Any, tmp_path: Path, architecture: str, width: int, size: int, batch: int
) -> None:
    plan = tiny_plan(
        tmp_path,
        methods=["none"],
        architectures=[architecture],
        widths=[width],
        discriminator_widths=[16],
        size=size,
        budget={"steps": STEPS, "batch": batch},
    )
    (cell,) = by_method(plan).values()
    bare, batches = bare_loop(cell), Batches(cell, open_task(cell))
    for step in range(STEPS):
        batches[step]  # decoded once per process, for both
    ours: list[float] = []
    theirs: list[float] = []
    clock = [time.perf_counter()]

    def after_our_step() -> bool:
        ours.append(time.perf_counter() - clock[0])
        started = time.perf_counter()
        bare(batches[len(theirs)])
        theirs.append(time.perf_counter() - started)
        clock[0] = time.perf_counter()
        return False

    def run() -> None:
        train_together([cell], plan, Store(tmp_path / "runs"), stop=after_our_step)

    benchmark.pedantic(run, rounds=1)
    pairs = list(zip(ours[WARMUP:], theirs[WARMUP:], strict=True))
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    benchmark.extra_info |= {
        "ours_ms": round(1e3 * statistics.median(a for a, _ in pairs), 2),
        "bare_ms": round(1e3 * statistics.median(b for _, b in pairs), 2),
        "ours_over_peer": {"step": round(ratio, 3)},
    }
    print(f"\n{architecture} width {width}, {size} px, batch {batch}: {benchmark.extra_info}")
    assert ratio <= 1.05
