"""Gates by time, of gates that are known and of networks that have some or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from test_diffusion_task import plan_of
from tiny import student_cells, train_teachers, train_together
from torch import Tensor

from bench.contracts.kinds import METRIC, NETWORK
from bench.contracts.metric import Scene
from bench.data.photo_crops import PhotoCrops
from bench.errors import SuiteError
from bench.evaluate.feed import evaluate
from bench.maths.diffusion import alpha_bars, noised
from bench.metrics.gates import Gates
from bench.store.layout import Store

CPU = torch.device("cpu")


def measured(hints: Any, **given: Any) -> dict[str, float]:
    metric = Gates(METRIC.declaration("gates", "test").params(given, "test"))
    metric.open(Scene(CPU, PhotoCrops({}), 16, hints=hints))
    return metric.value()


def test_a_gate_is_a_mean_over_images_and_its_spread() -> None:
    """LL is the time over 1000; HH is 0.25 in every other image and 0.75 in the others."""

    def hints(batch: Mapping[str, Tensor], roles: Sequence[str]) -> dict[str, Tensor]:
        if set(roles) - {"gates_down1"}:
            raise SuiteError("no such hint")
        gates = torch.full((len(batch["A"]), 4, 1, 1), 0.5)
        gates[:, 0, 0, 0] = batch["time"] / 1000
        gates[::2, 3], gates[1::2, 3] = 0.25, 0.75
        return {"gates_down1": gates}

    found = measured(hints, images=70, times=[0, 500])
    assert set(found) == {
        f"down1_{band}_{time}{end}"
        for band in ("ll", "lh", "hl", "hh")
        for time in ("0000", "0500")
        for end in ("", "_spread")
    }
    assert (found["down1_ll_0000"], found["down1_ll_0500"]) == (0.0, 0.5)
    assert found["down1_ll_0500_spread"] == 0.0
    assert found["down1_hh_0500"] == pytest.approx(0.5)
    assert found["down1_hh_0500_spread"] == pytest.approx(0.25)


def test_gates_are_the_networks_own_at_the_time_and_noise_given() -> None:
    torch.manual_seed(0)
    params = {"multiples": [1, 2, 2], "blocks": 1, "attention": [4]}
    given = NETWORK.declaration("sd_unet", "test").params(params, "test")
    network = NETWORK.load("sd_unet", "test")(8, 16, given)
    bars, batches = alpha_bars("linear", 1e-4, 0.02, 1000), []

    @torch.no_grad()
    def hints(batch: Mapping[str, Tensor], roles: Sequence[str]) -> Mapping[str, Tensor]:
        batches.append(batch)
        x = noised(batch["A"], batch["noise"], bars[batch["time"]])
        found: Mapping[str, Tensor] = network(x, batch["time"], hints=roles)[1]
        return found

    found = measured(hints, images=3, times=[300])
    assert {name.partition("_")[0] for name in found} == {"down1", "down2", "up1", "up2"}
    last = batches[-1]
    assert last["time"].tolist() == [300] * 3
    gates = hints(last, ["gates_up2"])["gates_up2"]
    assert found["up2_lh_0300"] == pytest.approx(gates[:, 1].mean().item())


def test_networks_without_gates_have_no_score_and_those_with_gates_have(tmp_path: Any) -> None:
    plan = plan_of(tmp_path, methods=["none"], metrics={"gates": {"images": 4, "times": [10]}})
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    lite, gated = student_cells(plan)
    train_together([lite, gated], plan, store)
    assert evaluate(lite, store, plan.metrics, CPU) == {}
    assert evaluate(gated, store, plan.metrics, CPU) == {}
    (none,), (some,) = (store.scores(cell.key).values() for cell in (lite, gated))
    assert (none["values"], none["reason"]) == ({}, "")
    assert len(some["values"]) == 2 * 4 * 2
    assert all(0 < x < 1 for name, x in some["values"].items() if not name.endswith("spread"))
