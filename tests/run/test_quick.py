"""The main job: the quick suite with tiny steps, from the suite file to the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def distillbench(*arguments: str, store: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--store", str(store)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DISTILLBENCH_HOME": str(store.parent / "home")},
        check=False,
        timeout=6000,
    )


def test_the_quick_suite_runs_reports_and_is_cached(tmp_path: Path) -> None:
    tiny = ("--set", "budget.steps=3", "--set", "teacher.budget.steps=2")
    tiny += ("--set", "metrics.miou.steps=3", "--set", "metrics.latency.runs=10")
    given = ("suites/quick.yaml", *tiny, "--allow-missing")
    run = distillbench("run", *given, "--jobs", "2", store=tmp_path / "runs")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "quick: 35 trained, 0 cached; 35 done\n"
    assert "fid needs weights that are not here: `distillbench fetch inception`" in run.stderr
    again = distillbench("run", *given, store=tmp_path / "runs")
    assert again.stdout == "quick: 0 trained, 35 cached; 35 done\n"
    out = tmp_path / "report"
    report = distillbench(
        "report", "suites/quick.yaml", *tiny, "--out", str(out), store=tmp_path / "runs"
    )
    assert report.stdout == f"{out / 'index.html'}\n", report.stderr
    table = (out / "tables" / "results.md").read_text()
    methods = ("none", "hinton", "at", "gan\\_compression", "wkd", "fesd-no-vgg")
    for method in ("teacher", *methods, "pca\\_kd †", "sd †"):
        assert table.count(f"| {method} |") == 2
    body, notes = table.split("Mean ±")
    header = body.splitlines()[2]
    for label in ("latency", "SWD", "PSNR", "SSIM", "FSIM", "mIoU"):
        assert label in header
    for label in ("FID", "LPIPS"):  # nothing could be scored: no column, but a reason beneath
        assert label not in header
        assert f"{label} (photo" in notes
    assert "fid needs weights that are not here" in notes
    assert "distillbench fetch inception" in notes
    assert "needs labels, and photo\\_edges has none" in notes
    assert "| real images |" in body
    assert (out / "figures" / "band_error.pdf").stat().st_size > 5000
    rows = (out / "rows.csv").read_text().splitlines()
    values = {"params": 1, "macs": 3, "latency": 4, "fid": 1, "swd": 4, "lpips": 1, "psnr": 1}
    values |= {"ssim": 1, "fsim": 2, "band_error": 10}
    each = 1 + 8 * 2  # the teacher, eight methods at two seeds
    on_textures, on_edges, on_real = each * 6, each * 1, 6  # mIoU and that of 5 classes
    assert len(rows) == 1 + 2 * each * sum(values.values()) + on_textures + on_edges + on_real
    ends = [json.loads(p.read_text()) for p in (tmp_path / "runs" / "cells").glob("*/end.json")]
    assert {end["environment"]["threads"] for end in ends} == {1}
    assert all(end["nondeterministic"] == [] for end in ends)
    assert (tmp_path / "runs" / "mlflow.db").exists()
