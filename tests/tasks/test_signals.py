"""Signals: what is drawn, fed and made, against closed forms; and Figure 4's example, trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_train import losses, stop_after
from tiny import (
    plan_without_adversary,
    student_cells,
    train_teachers,
    train_together,
    weights,
)
from torch import Tensor

from bench.contracts.distiller import Layout, Trace
from bench.contracts.kinds import METHOD, NETWORK, TASK
from bench.errors import DistillbenchError, Interrupted
from bench.evaluate.costs import count_network
from bench.evaluate.feed import evaluate
from bench.maths.diffusion import alpha_bars
from bench.nets._denoising import time_features
from bench.plan.expand import expand
from bench.plan.matrix import Plan, cohorts
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.run.preflight import check
from bench.store.layout import Store
from bench.tasks.signals import Signals
from bench.train.batches import Batches
from bench.train.learner import Learner

CPU = torch.device("cpu")
TOY: dict[str, Any] = {
    "datasets": {"long tail": {"dataset": "tones"}},
    "architectures": ["signal_ffn"],
    "methods": {"none": {}, "hinton_l2": {}, "sd": {"method": "sd_native", "levels": 0}},
    "widths": [4],
    "size": 64,
    "budget": {"steps": 6, "batch": 8, "lr": 1e-3, "decay": 1.0},
    "teacher": {"width": 8, "budget": {"steps": 3}},
    "outputs": {"samples": 6, "batch": 4, "steps": 3},
    "metrics": ["tones", "params", "macs"],
}


def plan_of(folder: Path, **changes: Any) -> Plan:
    return plan_without_adversary(folder, TOY | changes)


def task(**given: Any) -> Signals:
    return Signals(TASK.declaration("signals", "test").params(given, "test"))


def test_a_cohort_cut_off_and_resumed_has_the_bits_of_each_alone_and_is_scored(
    tmp_path: Path,
) -> None:
    plan = plan_of(tmp_path)
    check(plan.cells.values(), plan.cells, print)
    (cells,) = cohorts(student_cells(plan))
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    for store in (together, alone):
        train_teachers(plan, store)
    with pytest.raises(Interrupted):
        train_together(cells, plan, together, stop=stop_after(4))
    train_together(cells, plan, together)
    train_together([cells[-1]], plan, alone)
    assert weights(together, cells[-1]) == weights(alone, cells[-1])
    assert losses(together, cells[-1]) == losses(alone, cells[-1])
    assert evaluate(cells[-1], together, plan.metrics, CPU) == {}
    (score,) = together.scores(cells[-1].key).values()
    assert 0 < score["values"]["tones"] < 1
    assert (score["protocol"]["samples"], score["protocol"]["made from"]) == (6, "noise")


def test_what_is_fed_is_a_row_and_its_noise_at_its_time(tmp_path: Path) -> None:
    cell = student_cells(plan_of(tmp_path))[0]
    batches = Batches(cell, Learner(cell, CPU, None).task)
    batch = batches[0]
    assert batch["A"].shape == (8, 3, 1, 64)
    assert batch["noise"].shape == (8, 1, 1, 64)
    bars = alpha_bars("linear", 1e-4, 0.02, 1000)[batch["time"]]
    x, time = batches.task.inputs("sample", batch)
    assert torch.equal(time, batch["time"])
    for i, bar in enumerate(bars.tolist()):
        expected = bar**0.5 * batch["A"][i, :1] + (1 - bar) ** 0.5 * batch["noise"][i]
        torch.testing.assert_close(x[i], expected, rtol=1e-5, atol=1e-6)
    tones = np.fft.rfft(batch["A"][:, 0, 0].numpy())
    assert set(np.abs(tones).argmax(1)) <= {3, 5, 7, 9, 11}


def test_whoever_knows_the_signal_makes_an_image_of_it() -> None:
    signals = task()
    bars = alpha_bars("linear", 1e-4, 0.02, 1000)
    signal = torch.linspace(-0.9, 0.9, 16)

    def network(x: Tensor, time: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        bar = bars[time].view(-1, 1, 1, 1)
        return ((x - bar.sqrt() * signal) / (1 - bar).sqrt()).float(), {}

    rows = [
        signals.item(None, "sample", i, 16, np.random.default_rng(i))  # type: ignore[arg-type]
        for i in range(3)
    ]
    items = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    assert items["noise"].shape == (3, 1, 1, 16)
    networks = {"generator": {"sample": network}}
    found = signals.make(networks, "sample", items, Signals.outputs)
    assert found.shape == (3, 3, 16, 16)
    torch.testing.assert_close(found, signal.expand_as(found), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("width", "params"), [(64, 10_368), (1024, 164_928)])
def test_the_network_is_two_layers(width: int, params: int) -> None:
    found = count_network("signal_ffn", width, 64, seen=3)
    assert (found.params, found.macs) == (params, 160 * width)
    torch.manual_seed(0)
    network = NETWORK.load("signal_ffn", "test")(width, 64, {})
    network.initialise()
    x, time = torch.randn(3, 1, 1, 64), torch.tensor([0, 50, 999])
    first, second = network.model[0], network.model[2]
    hidden = first(torch.cat([x[:, 0, 0], time_features(time, 32)], 1))
    expected = second(hidden * hidden.sigmoid())
    out, hints = network(x, time, ("hidden",))
    torch.testing.assert_close(out[:, 0, 0], expected)
    torch.testing.assert_close(hints["hidden"][:, :, 0, 0], hidden * hidden.sigmoid())


def term(exponent: float) -> tuple[float, Trace, Trace]:
    """Return the frequency term of two signals, without hints."""
    given = {"levels": 0, "frequency": 1.0, "spatial": 1.0, "exponent": exponent}
    made = METHOD.load("sd_native", "t")(METHOD.declaration("sd_native", "t").params(given, "t"))
    made.build(Layout({}, 16, 0), Layout({}, 16, 0))
    rng = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 2, 1, 1, 16, generator=rng)
    real = torch.randn(2, 1, 1, 16, generator=rng).expand(-1, 3, -1, -1)
    student, teacher = (Trace(out, out, {}, real, False, None, gan="") for out in outputs)
    found = made.terms(student, teacher)
    if exponent == 0:
        torch.testing.assert_close(found["frequency"], found["spatial"])
    return found["frequency"].item(), student, teacher


def test_spectral_distillation_of_a_signal_is_weighted_by_its_own_spectrum() -> None:
    found, student, teacher = term(-1.0)
    real = np.abs(np.fft.fft(student.real[:, 0, 0].double().numpy()))
    weight = 1 / np.maximum(real, 1e-3 * real.max(1, keepdims=True))
    weight /= weight.mean(1, keepdims=True)
    apart = (student.output - teacher.output)[:, 0, 0].double().numpy()
    expected = (weight * np.abs(np.fft.fft(apart, norm="ortho")) ** 2).mean()
    assert found == pytest.approx(expected, rel=1e-4)
    flat, student, teacher = term(0.0)
    assert flat == pytest.approx((student.output - teacher.output).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["unet"], "widths": [2]}, "unet cannot take what signals feeds it"),
        ({"methods": {"sd_native": {}}}, "asks for the hint 'decoder1'; signal_ffn has hidden"),
        ({"outputs": {"steps": 0}}, "outputs.steps: should be 1 to the 1000 times: 0"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    plan = plan_of(tmp_path, **changes)
    with pytest.raises(DistillbenchError, match=said):
        check(plan.cells.values(), plan.cells, print)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frequent", "rare"), [("long tail", 3, (9, 11)), ("reversed", 11, (5, 3))]
)
def test_a_small_network_loses_rare_tones_and_a_large_one_does_not(
    name: str, frequent: int, rare: tuple[int, int], tmp_path: Path
) -> None:
    """Figure 4, and with its control: the rare tones, be they high or low.

    Bounds hold at all three seeds of the suite with room. Shares of rare tones are counts of few,
    and no bound is put on them.
    """
    suite = load(ROOT / "suites" / "sd_toy.yaml")
    plan, store = expand(suite, {"dataset": [name], "seed": ["0"]}), Store(tmp_path / "runs")
    cells = student_cells(plan)
    train_together(cells, plan, store)
    found: dict[Any, dict[str, float]] = {}
    for cell in cells:
        assert evaluate(cell, store, plan.metrics, CPU) == {}
        scores = store.scores(cell.key).values()
        found[cell.nets.width] = {n: x for s in scores for n, x in s["values"].items()}
    small, large = found[64], found[1024]
    for tone in rare:
        assert small.get(f"purity_{tone:02}", 0.0) < 0.5
        assert large[f"purity_{tone:02}"] > 0.7
    assert small["tones"] > 3 * large["tones"]
    seldom, often = f"error_{rare[1]:02}", f"error_{frequent:02}"
    assert small[seldom] > 1.3 * small[often]
    assert large[seldom] < 1.2 * large[often]
    assert all(small[f"error_{k:02}"] > 1.5 * large[f"error_{k:02}"] for k in (3, 5, 7, 9, 11))
