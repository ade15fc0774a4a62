"""Nights made up at a suite's own spread: accepted scores and those of a later night."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.gate import judge_scores

METRICS = {"fid": ("lower", 80.0), "lpips": ("lower", 0.4), "psnr": ("higher", 15.0)}
Night = dict[str, dict[str, Any]]
ALIKE = 0.6  # correlation of two methods at one seed, as measured on suites/quick.yaml


def nights(
    draw: np.random.Generator, *, cells: int, seeds: int, spread: float, kept: float
) -> tuple[Night, Night]:
    """Return an accepted and a later night without any change of quality.

    Args:
        draw: random numbers.
        cells: per metric, all alike but for their noise.
        seeds: of each cell.
        spread: standard deviation over seeds, as a fraction of the mean.
        kept: correlation of the two nights at one seed.
    """

    def noise() -> Any:
        shared, own = draw.normal(size=(1, seeds)), draw.normal(size=(cells, seeds))
        return np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own

    accepted: Night = {}
    now: Night = {}
    for metric, (better, mean) in METRICS.items():
        lasting = noise()
        for night in (accepted, now):
            found = np.sqrt(kept) * lasting + np.sqrt(1 - kept) * noise()
            for cell, values in enumerate(mean * (1 + spread * found)):
                night[f"cell {cell}: {metric}"] = {
                    "metric": metric,
                    "unit": "",
                    "better": better,
                    "protocol": {},
                    "tolerance": 0.01 * mean,
                    "values": {str(seed): float(value) for seed, value in enumerate(values)},
                }
    return accepted, now


def plant(night: Night, factor: float, cells: int | None = None) -> None:
    """Make the FID of all cells, or of the first few, worse by a factor."""
    wanted = [what for what in night if what.endswith(": fid")][:cells]
    for what in wanted:
        night[what]["values"] = {s: v * factor for s, v in night[what]["values"].items()}


def alarms(repeats: int, *, factor: float = 1.0, planted: int | None = None, **suite: Any) -> float:
    """Return the share of nights that the gate fails."""
    draw = np.random.default_rng(0)
    failed = 0
    for _ in range(repeats):
        accepted, now = nights(draw, **suite)
        plant(now, factor, planted)
        failed += judge_scores(now, accepted).fails
    return failed / repeats
