"""The original losses, weighted as the papers do, and who moves when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import by_method, tiny_plan

from bench.errors import WeightsError
from bench.run.preflight import check
from bench.train.batches import Batches
from bench.train.learner import Learner

CPU = torch.device("cpu")


def learner(folder: Path, **changes: Any) -> tuple[Learner, dict[str, torch.Tensor]]:
    (cell,) = by_method(tiny_plan(folder, methods=["none"], **changes)).values()
    made = Learner(cell, CPU, None)
    return made, Batches(cell, made.task)[0]


def original(made: Learner, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    player = made.students[0]
    player.keeps = made.task.terms
    return player.original("generator", player.forward(batch, ()))


def test_pix2pix_is_gan_and_a_hundred_times_l1(tmp_path: Path) -> None:
    made, batch = learner(tmp_path)
    made.students[0].modules.eval()  # one pass, one set of statistics
    terms = original(made, batch)
    fake, _ = made.students[0].generators["AtoB"](batch["A"])
    logits, _ = made.students[0].discriminators["AtoB"](torch.cat([batch["A"], fake], 1))
    assert set(terms) == {"gan", "l1"}
    torch.testing.assert_close(terms["l1"], 100 * F.l1_loss(fake, batch["B"]))
    expected = F.binary_cross_entropy_with_logits(logits[0], torch.ones_like(logits[0]))
    torch.testing.assert_close(terms["gan"], expected)
    assert list(made.task.stages["train"]) == ["discriminator", "generator"]


def test_cyclegan_is_lsgan_ten_cycle_and_five_identity(tmp_path: Path) -> None:
    made, batch = learner(tmp_path, datasets=["grass2brick"], architectures=["resnet9"])
    terms = original(made, batch)
    forth, back = (made.students[0].generators[d] for d in ("AtoB", "BtoA"))
    judge_b, judge_a = (made.students[0].discriminators[d] for d in ("AtoB", "BtoA"))
    a, b = batch["A"], batch["B"]
    fake_b, fake_a = forth(a)[0], back(b)[0]
    cycle = F.l1_loss(back(fake_b)[0], a) + F.l1_loss(forth(fake_a)[0], b)
    identity = F.l1_loss(forth(b)[0], b) + F.l1_loss(back(a)[0], a)
    lsgan = [
        (judge(x)[0][0] - 1).square().mean() for judge, x in ((judge_b, fake_b), (judge_a, fake_a))
    ]
    torch.testing.assert_close(terms["cycle"], 10 * cycle)
    torch.testing.assert_close(terms["identity"], 5 * identity)
    torch.testing.assert_close(terms["gan"], lsgan[0] + lsgan[1])
    assert list(made.task.stages["train"]) == ["generator", "discriminator"]
    assert made.students[0].memory["pool.AtoB"].size == 50


def test_pix2pixhd_brings_its_own_recipe(tmp_path: Path) -> None:
    made, batch = learner(tmp_path, architectures=["pix2pixhd"], size=64, task={"lambda_vgg": 0.0})
    assert made.task.params["gan"] == "lsgan"
    terms = original(made, batch)
    assert set(terms) == {"gan", "fm"}
    player = made.students[0]
    judge = player.discriminators["AtoB"]
    fake, _ = player.generators["AtoB"](batch["A"])
    taps = tuple(judge.taps)
    logits, of_fake = judge(torch.cat([batch["A"], fake], 1), taps)
    _, of_real = judge(torch.cat([batch["A"], batch["B"]], 1), taps)
    matching = sum(F.l1_loss(of_fake[t], of_real[t]) for t in taps) / 2  # num_D
    torch.testing.assert_close(terms["fm"], 10 * matching)
    torch.testing.assert_close(terms["gan"], sum((x - 1).square().mean() for x in logits))


def test_a_vgg_loss_without_its_weights_is_an_error_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path / "home"))
    plan = tiny_plan(tmp_path, architectures=["pix2pixhd"], methods=["none"])
    with pytest.raises(WeightsError, match=r"vgg19-dcbb9e9d.pth: missing. Put the file from https"):
        check(plan.cells.values(), {}, print)
    place = tmp_path / "home" / "weights" / "vgg19-dcbb9e9d.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"its sha256 begins [0-9a-f]{12}, the published one"):
        check(plan.cells.values(), {}, print)


@pytest.mark.parametrize(
    "changes", [{}, {"datasets": ["grass2brick"], "architectures": ["resnet9"]}]
)
@pytest.mark.parametrize("turn", ["generator", "discriminator"])
def test_each_turn_moves_its_own_player_only(
    tmp_path: Path, turn: str, changes: dict[str, Any]
) -> None:
    made, batch = learner(tmp_path, **changes)
    player = made.students[0]
    player.modules.eval()
    before = {n: p.clone() for n, p in player.modules.named_parameters()}
    traces = player.forward(batch, ())

    player.draw(turn, len(batch["A"]), np.random.default_rng(0))
    terms = player.original(turn, traces)
    player.pull(turn, torch.stack(list(terms.values())).sum())
    player.move(turn, lr=1e-3)
    moved = {n for n, p in player.modules.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert all(name.startswith(f"{turn}.") for name in moved)
    other = "generator" if turn == "discriminator" else "discriminator"
    assert all(p.grad is None for n, p in player.modules.named_parameters() if n.startswith(other))


def test_a_norm_of_the_generator_is_the_discriminators_too(tmp_path: Path) -> None:
    batch, _ = learner(tmp_path)
    instance, _ = learner(tmp_path, architectures={"unet": {"norm": "instance"}})
    kinds = [
        {type(m).__name__ for m in made.students[0].discriminators.modules()}
        for made in (batch, instance)
    ]
    assert "BatchNorm2d" in kinds[0]
    assert "InstanceNorm2d" in kinds[1]
