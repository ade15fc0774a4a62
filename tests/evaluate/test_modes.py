"""In which mode test outputs are made and how they get 8 bits: each a protocol of its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import by_method, tiny_plan, train_together
from torch import nn

from bench.contracts.making import AS_TRAINED, BATCH_STATISTICS, EVAL, MODES
from bench.errors import SuiteError
from bench.evaluate.feed import evaluate
from bench.evaluate.generate import open_students, outputs, to_8_bits
from bench.plan.matrix import Plan
from bench.report.publish import collect
from bench.report.rows import scores_of
from bench.store.layout import Store
from bench.track.experiment import logged_name
from reports.results import Results

CPU = torch.device("cpu")
EVERY = {
    "methods": ["none"],
    "metrics": ["psnr"],
    "size": 64,  # the smallest at which the U-Net has dropout
    "outputs": {"modes": list(MODES)},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    folder = tmp_path_factory.mktemp("modes")
    plan, store = tiny_plan(folder, **EVERY), Store(folder / "runs")
    (cell,) = by_method(plan).values()
    train_together([cell], plan, store)
    return plan, store


def images(plan: Plan, store: Store, mode: str) -> torch.Tensor:
    (cell,) = by_method(plan).values()
    (student,) = open_students(cell, store, CPU, mode=mode)
    return torch.cat([made.output for made in outputs(cell, student, "AtoB", "test", mode)])


def test_each_mode_makes_the_outputs_that_torch_makes_in_it(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    (cell,) = by_method(plan).values()
    (student,) = open_students(cell, store, CPU)
    network: Any = copy.deepcopy(student.generators["AtoB"])
    shown = [m.shown["input"] for m in outputs(cell, student, "AtoB", "test")]
    first = torch.cat(shown)[:1] * 2 - 1

    assert torch.equal(to_8_bits(network(first)[0]), images(plan, store, EVAL)[:1])
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    assert torch.equal(to_8_bits(network(first)[0]), images(plan, store, BATCH_STATISTICS)[:1])
    with_dropout = images(plan, store, AS_TRAINED)
    assert not torch.equal(with_dropout, images(plan, store, BATCH_STATISTICS))
    assert torch.equal(with_dropout, images(plan, store, AS_TRAINED))  # draws are seeded


def test_no_mode_changes_the_weights_that_are_scored(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    (cell,) = by_method(plan).values()
    (student,) = open_students(cell, store, CPU, mode=AS_TRAINED)
    before = {name: x.clone() for name, x in student.networks().items()}
    for _ in outputs(cell, student, "AtoB", "test", AS_TRAINED):
        pass
    counted = "num_batches_tracked"
    assert all(
        torch.equal(before[n], x) for n, x in student.networks().items() if not n.endswith(counted)
    )


def test_every_mode_is_scored_and_none_shares_a_column(trained: tuple[Plan, Store]) -> None:
    plan, store = trained
    (cell,) = by_method(plan).values()
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    found = [s for s in scores_of(cell, plan, store) if s["metric"] == "psnr"]
    assert [s["protocol"]["mode"] for s in found] == list(MODES)
    assert len({s["values"]["psnr"] for s in found}) == 3
    names = [logged_name(s, "psnr") for s in found]
    assert names == ["psnr", "batch statistics/psnr", "batch statistics and dropout/psnr"]

    rows = collect(plan, store)
    assert list(rows.scores["metric"].unique()) == [
        "psnr",
        "psnr (batch statistics)",
        "psnr (batch statistics and dropout)",
    ]
    table = next(Results().make(rows))
    assert [h for h in table.header if h.startswith("PSNR")] == [
        "PSNR [dB] ↑",
        "PSNR (batch statistics) [dB] ↑",
        "PSNR (batch statistics and dropout) [dB] ↑",
    ]
    said = [note for note in table.notes if "batch statistics mode" in note]
    assert len(said) == 1


def test_modes_change_no_cell_and_an_instance_norm_has_one_mode(tmp_path: Path) -> None:
    keys = set()
    for given in ({}, {"outputs": {"modes": [AS_TRAINED], "rounding": "truncated"}}):
        keys |= set(tiny_plan(tmp_path, **given).cells)
    assert len(keys) == len(tiny_plan(tmp_path).cells)

    plan = tiny_plan(tmp_path, **EVERY | {"architectures": ["resnet9"]})
    store = Store(tmp_path / "runs")
    (cell,) = by_method(plan).values()
    train_together([cell], plan, store)
    evaluate(cell, store, plan.metrics, CPU)
    found = [s for s in scores_of(cell, plan, store) if s["metric"] == "psnr"]
    assert found[0]["values"]["psnr"] == pytest.approx(found[2]["values"]["psnr"], abs=1e-4)


def test_truncated_outputs_are_those_of_the_original_tensor2im() -> None:
    made = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    theirs = ((made.numpy() + 1) / 2.0 * 255.0).astype("uint8")
    assert torch.equal(
        to_8_bits(made, is_truncated=True).mul(255).round().byte(), torch.from_numpy(theirs)
    )
    assert not torch.equal(to_8_bits(made), to_8_bits(made, is_truncated=True))
    beyond = torch.tensor([-9.0, -1.0, 1.0, 9.0])  # of a network without tanh
    assert to_8_bits(beyond).tolist() == to_8_bits(beyond, True).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"modes": ["train"]}, "outputs: unknown mode 'train'. Known: batch"),
        ({"modes": []}, "modes: a list of one mode or several, each once"),
        ({"modes": ["eval", "eval"]}, "modes: a list of one mode or several, each once"),
        ({"modes": "eval"}, "expected list like"),
        ({"rounding": "up"}, "outputs: unknown rounding 'up'. Known: rounded"),
    ],
)
def test_what_is_no_mode_is_refused(tmp_path: Path, outputs: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        tiny_plan(tmp_path, outputs=outputs)
