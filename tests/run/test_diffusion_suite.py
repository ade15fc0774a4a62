"""What the quick suite of diffusion has to show, at a fraction of its budget."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_quick import distillbench


@pytest.mark.slow
def test_the_teacher_denoises_better_than_lite_at_every_time(tmp_path: Path) -> None:
    """The suite's own networks, with a third of the steps and few samples. hinton_l2 asks for a teacher."""
    given = ["suites/diffusion_quick.yaml", "--only", "method=none,hinton_l2"]
    given += ["--only", "architecture=lite"]
    for key in ("budget.steps=170", "teacher.budget.steps=200", "outputs.samples=16"):
        given += ["--set", key]
    given += ["--seeds", "0", "--mlflow", "none"]
    run = distillbench("run", *given, store=tmp_path / "runs")
    assert run.returncode == 0, run.stderr
    out = tmp_path / "report"
    given = given[:-2]
    report = distillbench("report", *given, "--out", str(out), store=tmp_path / "runs")
    assert report.returncode == 0, report.stderr
    rows = pd.read_csv(out / "rows.csv")
    alone = rows[(rows["metric"] == "denoising") & (rows["method"] != "hinton_l2")]
    values = alone.pivot(index="name", columns="role", values="value")
    at_times = values[values.index.str.startswith("noise_")]
    assert len(at_times) == 4
    assert (at_times["teacher"] < 0.9 * at_times["student"]).all(), at_times
    for name in ("high_20", "high_50"):
        assert values.loc[name, "teacher"] < values.loc[name, "student"], name
    table = (out / "tables" / "results.md").read_text()
    assert table.count("| real images |") == 1
