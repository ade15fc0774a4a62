"""Nights made up at a suite's own spread: accepted scores and those of a later night."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.compare.gate import judge_scores

METRICS = {"fid": ("lower", 80.0), "lpips": ("lower", 0.4), "psnr": ("higher", 15.0)}
Night = dict[str, dict[str, Any]]
ALIKE = 0.6  # correlation of two methods at one seed, as measured on suites/quick.yaml


def nights(
    draw: np.random.Generator, *, cells: int, seeds: int, spread: float, kept: float, later: int = 1
) -> list[Night]:
    """Return an accepted night and later ones without any change of quality.

    Args:
        draw: random numbers.
        cells: per metric, all alike but for their noise.
        seeds: of each cell.
        spread: standard deviation over seeds, as a fraction of the mean.
        kept: correlation of any two nights at one seed.
        later: how many nights follow the accepted one.
    """

    def noise() -> Any:
        shared, own = draw.normal(size=(1, seeds)), draw.normal(size=(cells, seeds))
        return np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own

    every: list[Night] = [{} for _ in range(1 + later)]
    for metric, (better, mean) in METRICS.items():
        lasting = noise()
        for night in every:
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
    return every


def plant(night: Night, factor: float, cells: int | None = None) -> None:
    """Make the FID of all cells, or of the first few, worse by a factor."""
    wanted = [what for what in night if what.endswith(": fid")][:cells]
    for what in wanted:
        night[what]["values"] = {s: v * factor for s, v in night[what]["values"].items()}


def alarms(
    repeats: int, *, factor: float = 1.0, planted: int | None = None, **suite: Any
) -> list[float]:
    """Return the share of nights that the gate fails after each of several accepted nights."""
    draw = np.random.default_rng(0)
    shares = []
    for _ in range(repeats):
        accepted, *later = nights(draw, **suite)
        for now in later:
            plant(now, factor, planted)
        shares.append(np.mean([judge_scores(now, accepted).fails for now in later]))
    return shares
