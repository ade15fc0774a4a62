"""The whole report of more than 10,000 score rows: tables, figures, page.

A suite of 626 cells (two data sets, 26 methods, two widths, six seeds, and two teachers) with made-up scores, loss curves and samples, from the files of a store to the page.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny import tiny_plan

from bench.plan import Plan
from bench.publish import publish
from bench.score import image_scores, network_id, network_metrics, record, score_id
from bench.store import Store, write_json

ROWS, GOAL_S = 10_000, 30.0
METHODS = {"none": {}, **{f"wkd-{n}": {"method": "wkd", "weight": float(n)} for n in range(1, 26)}}
VALUES = {
    "params": ["params"],
    "macs": ["macs", "macs_c2", "macs_c3"],
    "psnr": ["psnr"],
    "ssim": ["ssim"],
    "band_error": ["LL3", "LH3", "HL3", "HH3", "LH2", "HL2", "HH2", "LH1", "HL1", "HH1"],
}


def made_up(folder: Path) -> tuple[Plan, Store]:
    """Return a plan, and a store in which all of it has ended."""
    plan = tiny_plan(
        folder,
        datasets=["photo_edges", "photo_textures"],
        methods=METHODS,
        widths=[2, 3],
        seeds=list(range(6)),
        metrics=list(VALUES),
    )
    store, random = Store(folder / "runs"), np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    for key, cell in plan.cells.items():
        store.write(key, "spec.json", {"key": key, "provenance": ""})
        store.write(key, "end.json", {"status": "done", "seconds": 1.0})
        scores = {
            w.id: record(w.metric, w.protocol, drawn(w.metric.name, random), "", 1.0)
            for w in image_scores(cell, plan.metrics)
        }
        store.write(key, "scores.json", scores)
        protocol = {"size": cell.size, **cell.numerics}
        of_network = {
            score_id(part, protocol): record(part, protocol, drawn(part.name, random), "", 1.0)
            for part in network_metrics(plan.metrics)
        }
        write_json(store.network(network_id(cell)), of_network)
        lines = [
            json.dumps({"step": n, "time": 0.0, "losses": dict.fromkeys(("gan", "l1"), 1 / n)})
            for n in range(1, 501)
        ]
        (store.folder(key) / "losses.jsonl").write_text("\n".join(lines) + "\n")
        (store.folder(key) / "samples").mkdir()
        for name in ("input", "output", "target"):
            image.save(store.folder(key) / "samples" / f"AtoB-0-{name}.png")
    return plan, store


def drawn(metric: str, random: np.random.Generator) -> dict[str, float]:
    """Return values of a metric, for all the names it has."""
    return dict(zip(VALUES[metric], random.normal(20, 1, len(VALUES[metric])), strict=True))


def bench_report(benchmark: Any, tmp_path: Path) -> None:
    plan, store = made_up(tmp_path)
    wall, cpu = time.perf_counter(), time.process_time()
    benchmark.pedantic(publish, args=(plan, store, tmp_path / "report"), rounds=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = len((tmp_path / "report" / "rows.csv").read_text().splitlines()) - 1
    print(f"\n{len(plan.cells)} cells, {rows} score rows: {cpu:.1f} s of CPU, {wall:.1f} s of time")
    assert rows >= ROWS
    assert cpu < GOAL_S  # others may be using the machine
