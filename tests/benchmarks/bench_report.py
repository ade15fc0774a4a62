"""The whole report of more than 10,000 score rows: tables, figures, page.

A suite of 19 methods, two data sets, two widths and eight seeds with made-up scores, 40 snapshots
of each student (rows on top of those counted), loss curves and samples, from the files of a store
to the page. Photographs that come with scikit-image stand in for the data. One set has the name and
the protocol of a paper's, so that the papers' tables are made, with what they printed.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny import tiny_plan

from bench.evaluate.generate import SAMPLES
from bench.plan.cell import Cell, open_dataset
from bench.plan.matrix import Plan
from bench.plan.scores import (
    Wanted,
    image_scores,
    network_id,
    network_metrics,
    network_protocol,
    record,
    score_id,
    snapshot_scores,
)
from bench.report.publish import publish
from bench.store.layout import Store, write_json

ROWS, GOAL_S = 10_000, 30.0
TAUGHT = ("hinton", "at", "gan_compression", "srkd", "cat", "vid", "wkd", "sd")
METHODS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("none", *TAUGHT, "omgd", "dcd", "fesd")},
    "low": {"method": "wkd", "bands": "low"},
    "both": {"method": "wkd", "bands": "both"},
    "TAKD-32": {"method": "wkd", "teacher": {"mode": "assistant", "assistant_width": 32}},
    "self-distillation": {"method": "wkd", "teacher": {"mode": "same"}},
    "DML-2": {"method": "wkd", "teacher": {"mode": "peers", "peers": 2}},
    "spatial": {"method": "sd", "frequency": 0.0},
    "frequency": {"method": "sd", "spatial": 0.0},
}
VALUES = {
    "macs": ["macs", "macs_c2", "macs_c3"],
    "band_error": ["LL3", "LH3", "HL3", "HH3", "LH2", "HL2", "HH2", "LH1", "HL1", "HH1"],
}
TABLES = (
    *("selection", "paper_gap", "wkd_table_1_2", "wkd_table_4", "wkd_table_5"),
    *("fesd_table_1", "sd_table_1", "sd_table_2", "sd_table_5"),
)
FIGURES = ("training_curve", "losses", "samples-3-AtoB", "grids-3-AtoB-4")


def made_up(folder: Path) -> tuple[Plan, Store]:
    """Return a plan by the protocol of WKD's Table 2, and a store in which all of it has ended."""
    plan = tiny_plan(
        folder,
        datasets={"horse2zebra": {"dataset": "photo_edges"}, "photo_textures": {}},
        architectures=["resnet9"],
        methods=METHODS,
        widths=[16, 24],
        discriminator_widths=[64],
        teacher={"width": 64},
        seeds=list(range(8)),
        size=256,
        budget={"epochs": 200},
        metrics=["params", "macs", "throughput", "fid", "psnr", "band_error"],
        snapshots={"times": 40, "metrics": ["fid"]},
    )
    store, random = Store(folder / "runs"), np.random.default_rng(0)
    one_of_each = {cell.dataset.name: cell for cell in plan.cells.values()}
    samples = {name: photographs(cell) for name, cell in one_of_each.items()}
    for key, cell in plan.cells.items():
        store.write(key, "spec.json", {"key": key, "provenance": ""})
        store.write(key, "end.json", {"status": "done", "seconds": 1.0})
        of_images = [*image_scores(cell, plan.metrics), *snapshot_scores(cell, plan.watched)]
        store.write(key, "scores.json", drawn(of_images, random))
        write_json(store.network(network_id(cell)), drawn(of_network(cell, plan), random))
        lines = [
            json.dumps({"step": n, "time": 0.0, "losses": dict.fromkeys(("gan", "l1"), 1 / n)})
            for n in range(1, 501)
        ]
        (store.folder(key) / "losses.jsonl").write_text("\n".join(lines) + "\n")
        (store.folder(key) / "samples").mkdir()
        for name, picture in samples[cell.dataset.name].items():
            (store.folder(key) / "samples" / name).write_bytes(picture)
    return plan, store


def of_network(cell: Cell, plan: Plan) -> Iterator[Wanted]:
    """Yield every score that a cell's network should have."""
    for part in network_metrics(cell, plan.metrics):
        protocol = network_protocol(cell, part, {"device": "a made-up one"})
        yield Wanted(score_id(part, protocol), "", part, protocol, "")


def drawn(scores: Iterable[Wanted], random: np.random.Generator) -> dict[str, Any]:
    """Return id -> score, with values drawn for all the names that a metric has."""
    found = {}
    for wanted in scores:
        names = [] if wanted.reason else VALUES.get(wanted.metric.name, [wanted.metric.name])
        values = dict(zip(names, random.normal(80, 5, len(names)).tolist(), strict=True))
        found[wanted.id] = record(wanted.metric, wanted.protocol, values, wanted.reason, 1.0)
    return found


def photographs(cell: Cell) -> dict[str, bytes]:
    """Return name -> PNG of the samples that a cell keeps: input, output, any ground truth."""
    dataset, task = open_dataset(cell.dataset), cell.task.declared
    found = {}
    for direction, (source, target) in task.directions.items():
        for number in range(SAMPLES):
            roles = {"input": source, "output": target}
            roles |= {"target": target} if task.paired else {}
            for role, domain in roles.items():
                file = io.BytesIO()
                pixels = dataset.read("test", domain, number, cell.size)
                Image.fromarray(pixels).save(file, format="PNG")
                found[f"{direction}-{number}-{role}.png"] = file.getvalue()
    return found


def bench_report(benchmark: Any, tmp_path: Path) -> None:
    plan, store = made_up(tmp_path)
    report = tmp_path / "report"
    wall, cpu = time.perf_counter(), time.process_time()
    benchmark.pedantic(publish, args=(plan, store, report), rounds=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = len((report / "rows.csv").read_text().splitlines()) - 1
    print(f"\n{len(plan.cells)} cells, {rows} score rows: {cpu:.1f} s of CPU, {wall:.1f} s of time")
    print(f"page: {(report / 'index.html').stat().st_size / 1e6:.0f} MB")
    assert rows >= ROWS
    names = [
        *(f"tables/{name}.md" for name in TABLES),
        *(f"figures/{name}.pdf" for name in FIGURES),
    ]
    assert [name for name in names if not (report / name).exists()] == []
    assert "| reproduced" in (report / "tables" / "paper_gap.md").read_text()
    assert cpu < GOAL_S  # others may be using the machine
