"""The plug-ins that the documentation shows: each obeys its contract, and together they make a table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny import by_method, train_teachers, train_together

from bench.contracts.kinds import DATASET, METRIC, NETWORK, REPORT
from bench.evaluate.feed import evaluate
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import load
from bench.plugins import outside
from bench.plugins.source import ROOT
from bench.report.publish import collect
from bench.store.layout import Store

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in EXAMPLES.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    outside.look_in(None)  # and so in this folder, not where another test's suite lay
    return tmp_path


@pytest.fixture
def plan(beside: Path) -> Plan:
    suite = yaml.safe_load((beside / "outside.yaml").read_text())
    suite |= {"budget": {"steps": 3, "batch": 2}, "size": 32, "discriminator_widths": [2]}
    suite["teacher"] = {"width": 4, "budget": {"steps": 2}}
    suite["datasets"]["discs"] |= {"train": 8, "held_out": 3}
    path = beside / "tiny.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return expand(load(path))


def test_together_they_train_are_scored_and_make_a_table(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    cells = [e.cell for e in plan.students if e.cell]
    for seed in (0, 1):
        train_together([c for c in cells if c.seed == seed], plan, store)
    for cell in cells:
        assert evaluate(cell, store, plan.metrics, torch.device("cpu")) == {}
        scored = {score["metric"]: score["values"] for score in store.scores(cell.key).values()}
        assert scored["sharpness:Sharpness"]["sharpness"] > 0
    assert set(by_method(plan)) == {"none", "hinton", "my_idea"}
    (table,) = REPORT.load("wins:Wins", "test")().make(collect(plan, store))
    assert list(table.header) == ["Method", "PSNR", "SSIM", "sharpness"]
    assert [line[0] for line in table.blocks[0]] == ["hinton", "my_idea"]
    assert all(cell.endswith(" of 2") for line in table.blocks[0] for cell in line[1:])


@pytest.mark.usefixtures("beside")
def test_the_metric_is_its_worked_examples() -> None:
    cls = METRIC.load("sharpness:Sharpness", "test")
    for story, (output, target, expected) in cls.checks.items():
        metric = cls({})
        metric.add(output, target)
        assert metric.value() == pytest.approx(expected), story


@pytest.mark.usefixtures("beside")
def test_the_images_are_what_the_contract_says_and_pairs_belong_together() -> None:
    data = DATASET.load("discs:Discs", "test")({"train": 5, "held_out": 2})
    assert [data.count(split, "A") for split in ("train", "val", "test")] == [5, 2, 2]
    images = [data.read(split, "B", i, 32) for split in ("train", "test") for i in (0, 1)]
    assert all(x.shape == (32, 32, 3) and x.dtype == np.uint8 for x in images)
    assert len({x.tobytes() for x in images}) == 4  # no image of one split is in another
    outline = data.read("train", "A", 0, 128) < 64
    assert (data.read("train", "B", 0, 128)[outline] < 64).all()  # the same black lines
    other = DATASET.load("discs:Discs", "test")({"train": 6, "held_out": 2})
    assert other.fingerprint() != data.fingerprint()


@pytest.mark.usefixtures("beside")
def test_the_networks_hints_are_those_of_the_roles() -> None:
    network = NETWORK.load("small_net:SmallNet", "test")(2, 16, {}).eval()
    image = torch.rand(1, 3, 16, 16)
    output, hints = network(image, ["down", "mid1", "mid2", "up"])
    assert output.shape == image.shape
    assert {role: tuple(hint.shape[1:]) for role, hint in hints.items()} == {
        "down": (8, 4, 4), "mid1": (8, 4, 4), "mid2": (8, 4, 4), "up": (4, 8, 8),
    }  # fmt: skip
