"""Latency is torch's unless a suite asks for onnxruntime's, and the two are never one score."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import by_method, tiny_plan

from bench.contracts.kinds import METRIC, NETWORK
from bench.contracts.metric import NoScore
from bench.errors import AbsentExtra
from bench.evaluate.costs import measure
from bench.metrics import _by_onnxruntime
from bench.onnx.session import Session
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.scores import fits, network_id, score_id
from bench.store.layout import Store, read_json

CPU = torch.device("cpu")
HERE = {"device": "this machine", "threads": 1, "torch": "2"}
QUICK = {"warmup": 1, "runs": 3}


def measured(folder: Path, engine: str, **suite: Any) -> tuple[Cell, Any, dict[str, Any]]:
    """Measure the latency of the tiny suite's student; return cell, metric, score."""
    metrics = {"latency": {**QUICK, "engine": engine}}
    plan = tiny_plan(folder, methods=["none"], metrics=metrics, **suite)
    (cell,) = by_method(plan).values()
    store = Store(folder / "runs")
    assert measure(cell, store, plan.metrics, CPU, HERE, lambda: False) == {}
    scores = read_json(store.network(network_id(cell))).values()
    (score,) = (s for s in scores if s["params"].get("engine", "torch") == engine)
    return cell, plan.metrics[0], score


def test_scores_of_torch_keep_the_id_that_they_had() -> None:
    part = METRIC.part("latency", {}, "test")
    assert part.version == 2
    expected = identity(["latency", 2, {"warmup": 100, "runs": 100}, {"size": 32}])
    assert score_id(part, {"size": 32}) == expected
    other = METRIC.part("latency", {"engine": "onnxruntime"}, "test")
    assert score_id(other, {"size": 32}) != expected
    assert part.declared.heading(part.params) == "latency"
    assert other.declared.heading(other.params) == "latency (onnxruntime)"


def test_onnxruntime_is_another_score_with_its_version_in_the_protocol(tmp_path: Path) -> None:
    cell, by_torch, first = measured(tmp_path, "torch")
    _, by_onnxruntime, second = measured(tmp_path, "onnxruntime")
    for score in (first, second):
        values = score["values"]
        assert 0 < values["latency_q1"] <= values["latency"] <= values["latency_q3"]
    assert "engine" not in first["params"]
    assert "engine" not in first["protocol"]
    told = {"engine": "onnxruntime", "onnxruntime": metadata.version("onnxruntime")}
    assert second["protocol"].items() >= told.items()
    assert fits(first, cell, by_torch)
    assert fits(second, cell, by_onnxruntime)
    assert not fits(first, cell, by_onnxruntime)
    assert not fits(second, cell, by_torch)


def test_where_it_cannot_be_measured_the_score_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half").mkdir()
    _, _, score = measured(tmp_path / "half", "onnxruntime", precision="bf16")
    assert score["values"] == {}
    assert "float32" in score["reason"]

    def absent(*given: Any) -> bytes:
        raise AbsentExtra("onnx is not installed; install it with: pip install 'x'.")

    monkeypatch.setattr(_by_onnxruntime, "convert", absent)
    (tmp_path / "none").mkdir()
    _, _, score = measured(tmp_path / "none", "onnxruntime")
    assert score["reason"] == "onnx is not installed; install it with: pip install 'x'"

    def no_kernel(*given: Any) -> bytes:
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(_by_onnxruntime, "convert", no_kernel)
    with pytest.raises(
        NoScore, match=r"cannot be exported to ONNX \(RuntimeError: no such operator"
    ):
        _by_onnxruntime.times_of(_network(), CPU, 1, 1)


def test_a_suite_in_tf32_has_no_latency_in_onnxruntime(tmp_path: Path) -> None:
    backends: Any = torch.backends
    before = backends.fp32_precision
    try:
        backends.fp32_precision = "tf32"  # as `configure` sets it
        _, _, score = measured(tmp_path, "onnxruntime", precision="tf32")
    finally:
        backends.fp32_precision = before
    assert score["values"] == {}
    assert "float32" in score["reason"]


def test_on_a_gpu_onnxruntime_computes_float32_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    asked: list[Any] = []

    class Opened:
        def __init__(self, model: bytes, options: object, providers: list[Any]) -> None:
            asked.extend(providers)

        def get_inputs(self) -> list[Any]:
            return []

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Opened)
    Session(b"", "cuda")
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"})]


def _network() -> Any:
    part = NETWORK.part("resnet9", {}, "test")
    made: Any = part.load()
    return made(2, 32, part.params)
