"""The main job: the quick suite with tiny steps, from the suite file to the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def distillbench(*arguments: str, store: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--store", str(store)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ},
        check=False,
        timeout=600,
    )


def test_the_quick_suite_runs_reports_and_is_cached(tmp_path: Path) -> None:
    tiny = ("--set", "budget.steps=3", "--set", "teacher.budget.steps=2")
    run = distillbench("run", "suites/quick.yaml", "--jobs", "2", *tiny, store=tmp_path / "runs")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "quick: 14 trained, 0 cached; 14 done\n"
    again = distillbench("run", "suites/quick.yaml", *tiny, store=tmp_path / "runs")
    assert again.stdout == "quick: 0 trained, 14 cached; 14 done\n"
    out = tmp_path / "report"
    report = distillbench(
        "report", "suites/quick.yaml", *tiny, "--out", str(out), store=tmp_path / "runs"
    )
    assert report.stdout == f"{out / 'index.html'}\n", report.stderr
    table = (out / "tables" / "results.md").read_text()
    for method in ("teacher", "none", "hinton", "wkd"):
        assert table.count(f"| {method} |") == 2
    assert "—" not in table.split("Mean ±")[0]  # every score is there
    assert (out / "figures" / "band_error.pdf").stat().st_size > 5000
    rows = (out / "rows.csv").read_text().splitlines()
    assert len(rows) == 1 + 14 * (1 + 3 + 3 + 1 + 1 + 10)
    ends = [json.loads(p.read_text()) for p in (tmp_path / "runs" / "cells").glob("*/end.json")]
    assert {end["environment"]["threads"] for end in ends} == {1}
    assert all(end["nondeterministic"] == [] for end in ends)
    assert (tmp_path / "runs" / "mlflow.db").exists()
