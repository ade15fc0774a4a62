"""How much of the spread over seeds the order of batches makes: `python FILE SUITE STORE`.

Prints, by data set and metric, the standard deviation over seeds (pooled over methods) of a suite
run with `--set batches=own` and with `--set batches=shared` into one store, and the second over the
first with a 95 % percentile bootstrap over seeds. A seed has the same first weights and noise in
both, so it is drawn for both; `moved` is the standard deviation of what the other order did to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bench.plan.cell import ORDER
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.report.rows import score_rows
from bench.store.layout import Store

DRAWS = 9_999


def values(suite: Path, store: Store, kind: str) -> pd.DataFrame:
    """Return the students' headline scores of images."""
    found = pd.DataFrame(list(score_rows(expand(load(suite, [f"batches={kind}"])), store)))
    found = found[(found["role"] == "student") & found["headline"] & found["value"].notna()]
    return found[(found["judges"] == "images") & (found["better"] != "")]


def spread(table: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the standard deviation over drawn seeds [draws, n] of a table [n, methods], pooled."""
    return np.sqrt(table[drawn].var(axis=1, ddof=1).mean(axis=-1))


def main(suite: Path, store: Store) -> None:
    kinds = {kind: values(suite, store, kind) for kind in ("own", "shared")}
    print("| data | metric | methods x seeds | own | shared | ratio | 95 % interval | moved |")
    print("|---|---|---|---|---|---|---|---|")
    logs = []
    for (dataset, metric), _ in kinds["own"].groupby(["dataset", "metric"], sort=False):
        tables = {}
        for kind, rows in kinds.items():
            mine = rows[(rows["dataset"] == dataset) & (rows["metric"] == metric)]
            table = mine.pivot(index="seed", columns="method", values="value").astype(float)
            tables[kind] = table.dropna()
        own, shared = tables.values()
        seeds = own.index.intersection(shared.index)
        if len(seeds) < 3:
            continue
        a, b = (table.loc[seeds].to_numpy() for table in (own, shared))
        n = len(seeds)
        drawn = np.random.default_rng(0).integers(n, size=(DRAWS, n))
        whole = np.arange(n)[None]
        one, two = spread(a, whole)[0], spread(b, whole)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.log(spread(b, drawn) / spread(a, drawn))
        ratios = np.where(np.isfinite(ratios), ratios, np.nan)
        logs.append((dataset, np.log(two / one), ratios))
        low, high = np.exp(np.nanpercentile(ratios, [2.5, 97.5]))
        shape = f"{a.shape[1]} x {n}"
        others = np.flatnonzero(seeds != ORDER)  # to which the shared order is another one
        moved = spread(b - a, others[None])[0]
        print(
            f"| {dataset} | {metric} | {shape} | {one:.4g} | {two:.4g} "
            f"| {two / one:.2f} | {low:.2f} to {high:.2f} | {moved:.4g} |"
        )
    for dataset in dict.fromkeys(name for name, *_ in logs):
        mine = [(point, ratios) for name, point, ratios in logs if name == dataset]
        mean = np.exp(np.mean([point for point, _ in mine]))
        low, high = np.exp(
            np.nanpercentile(np.mean([ratios for _, ratios in mine], axis=0), [2.5, 97.5])
        )
        print(f"{dataset}, geometric mean over metrics: {mean:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Store(Path(sys.argv[2])))
