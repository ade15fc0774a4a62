"""What a network costs is measured once, and a metric that fails leaves no score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import by_method, tiny_plan

from bench.contracts.metric import NetworkMetric
from bench.errors import Interrupted, SuiteError
from bench.evaluate.costs import count_network, measure
from bench.plan.scores import network_id
from bench.plugins import registry as plugins
from bench.store.layout import Store, read_json

CPU = torch.device("cpu")
HERE = {"device": "this machine", "threads": 1, "torch": "2"}


class Asked(NetworkMetric):
    """Counts how often it is asked."""

    times = 0

    def measure(self, network: Any, device: torch.device) -> dict[str, float]:
        type(self).times += 1
        return {"params": 100.0 + self.times}


class Failing(NetworkMetric):
    def measure(self, network: Any, device: torch.device) -> dict[str, float]:
        raise ValueError("too small to measure")


def scores(store: Store, cell: Any) -> dict[str, Any]:
    return {s["metric"]: s for s in read_json(store.network(network_id(cell))).values()}


def test_a_network_is_measured_once_or_again_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {"params": Asked, "macs": Failing}
    real = plugins.Kind.load
    monkeypatch.setattr(
        plugins.Kind, "load", lambda kind, name, where: planted.get(name) or real(kind, name, where)
    )
    Asked.times = 0
    plan = tiny_plan(
        tmp_path, methods=["none"], metrics=["params", "macs", "latency", "peak_memory"]
    )
    store = Store(tmp_path / "runs")
    (cell,) = by_method(plan).values()
    for again, expected in ((False, 101.0), (False, 101.0), (True, 102.0)):
        failures = measure(cell, store, plan.metrics, CPU, HERE, lambda: False, again)
        assert list(failures) == ["macs"]
        assert "too small to measure" in failures["macs"]
        found = scores(store, cell)
        assert found["params"]["values"] == {"params": expected}
    assert "macs" not in found
    assert (found["peak_memory"]["values"], found["peak_memory"]["reason"]) == ({}, "needs a GPU")
    assert "clocks" in found["latency"]  # measured alone on the machine, whose pace is noted
    assert "clocks" not in found["params"]
    assert found["latency"]["protocol"].items() >= HERE.items()
    assert "device" not in found["params"]["protocol"]


def test_measuring_stops_between_two_metrics_and_keeps_the_first(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["none"], metrics=["params", "macs"])
    store = Store(tmp_path / "runs")
    (cell,) = by_method(plan).values()
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        measure(cell, store, plan.metrics, CPU, HERE, lambda: next(answers))
    assert list(scores(store, cell)) == ["params"]
    assert measure(cell, store, plan.metrics, CPU, HERE, lambda: False) == {}
    assert set(scores(store, cell)) == {"params", "macs"}


def test_a_discriminators_cost_is_of_one_image() -> None:
    """Five 4 x 4 convolutions over maps of 16, 8, 4, 3 and 2 pixels a side."""
    layers = [(6, 2, 16), (2, 4, 8), (4, 8, 4), (8, 16, 3), (16, 1, 2)]
    expected = sum(16 * before * after * side**2 for before, after, side in layers)
    assert count_network("patchgan", 2, 32, 6).macs == expected


def test_a_width_of_another_kind_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"unet needs a width of 1 numbers, not \(2, 4\)"):
        count_network("unet", (2, 4), 32, 6)
    with pytest.raises(SuiteError, match="multiple of 4, not 30"):
        count_network("resnet9", 4, 30, 6)
