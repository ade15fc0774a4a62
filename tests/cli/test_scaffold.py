"""`distillbench new`: what it writes works as it is, and lies where it was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from tiny import SUITE, train_teachers, train_together

from bench.cli.main import main
from bench.cli.scaffold import STARTS
from bench.evaluate.costs import measure
from bench.evaluate.feed import evaluate
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.report.publish import publish
from bench.store.layout import Store


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_a_plugin_of_every_kind_joins_a_suite_by_the_row_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All five in one suite: trained, scored, reported."""
    monkeypatch.chdir(tmp_path)
    suite = SUITE | {"metrics": ["psnr"], "methods": {"none": {}}, "reports": []}
    suite |= {"datasets": {}, "architectures": {}}
    for kind in STARTS:
        code, output, error = call("new", kind, f"my_{kind}")
        assert code == 0, error
        assert output.startswith(f"{tmp_path / f'my_{kind}.py'}\n")
        text = (tmp_path / f"my_{kind}.py").read_text()
        assert "emplate" not in text
        assert sum(bool(line.strip()) for line in text.splitlines()) < 60
        found = re.search(r"add `(.*)` to the (\w+) of a suite, then run", output)
        assert found
        row, key = yaml.safe_load(found[1]), found[2]
        suite[key] = [*suite[key], row] if isinstance(row, str) else suite[key] | row
    (tmp_path / "s.yaml").write_text("# ?\n" + yaml.safe_dump(suite, sort_keys=False))
    plan, store = expand(load(tmp_path / "s.yaml")), Store(tmp_path / "runs")
    train_teachers(plan, store)
    for entry in plan.entries:
        assert entry.cell is not None
        train_together([entry.cell], plan, store)
        assert store.state(entry.cell.key).status == "done"
        assert evaluate(entry.cell, store, plan.metrics, torch.device("cpu")) == {}
        measure(entry.cell, store, plan.metrics, torch.device("cpu"), {}, lambda: False)
    publish(plan, store, tmp_path / "report")
    table = (tmp_path / "report" / "tables" / "my_report.csv").read_text()
    assert table.startswith("Data,Metric,Method,Least,Most\nmy_dataset,PSNR,none,")
    assert "my_dataset,MAE,my_distiller," in table


def test_a_new_plugin_lies_beside_the_suite_or_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "suite" / "s.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert call("new", "metric", "one", "--suite", "suite/s.yaml")[0] == 0
    assert (tmp_path / "suite" / "one.py").exists()
    _, output, _ = call("new", "metric", "two", "--folder", "folder")
    assert f"add `two` to the metrics of a suite, `plugins: [{tmp_path / 'folder'}]`" in output
    for name, said in (
        ("two", "there is a metric of that name already"),
        ("psnr", "there is a metric of that name already"),
        ("Bad-Name", "a metric's name is a file name like my_idea"),
    ):
        code, _, error = call("new", "metric", name, "--folder", "folder")
        assert (code, said in error) == (2, True), error


def test_nothing_is_written_silently_into_the_projects_own_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT / "bench" / "metrics")
    code, _, error = call("new", "metric", "my_metric")
    assert code == 2
    assert "is a folder of distillbench itself: say --folder" in error
    code, _, error = call("new", "metric", "my_metric", "--suite", str(ROOT / "suites/quick.yaml"))
    assert code == 2
    assert not list(ROOT.glob("*/my_metric.py"))
