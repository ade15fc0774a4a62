"""The game's losses against torch's own, the image pool, the initialisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.contracts.network import initialise
from bench.losses.gan import ImagePool, discriminator_loss, fake_loss, generator_loss

REAL, FAKE = torch.tensor([[2.0, -0.5]]), torch.tensor([[0.3, -1.0]])
ONE, ZERO = torch.ones(1, 2), torch.zeros(1, 2)


@pytest.mark.parametrize(
    ("kind", "judge", "make"),
    [
        (
            "vanilla",
            F.binary_cross_entropy_with_logits(REAL, ONE)
            + F.binary_cross_entropy_with_logits(FAKE, ZERO),
            F.binary_cross_entropy_with_logits(FAKE, ONE),
        ),
        ("lsgan", F.mse_loss(REAL, ONE) + F.mse_loss(FAKE, ZERO), F.mse_loss(FAKE, ONE)),
        ("hinge", torch.tensor((0 + 1.5) / 2 + (1.3 + 0) / 2), torch.tensor(0.35)),
    ],
)
def test_losses_are_the_textbooks(kind: str, judge: torch.Tensor, make: torch.Tensor) -> None:
    torch.testing.assert_close(discriminator_loss(kind, [REAL], [FAKE]), 0.5 * judge)
    torch.testing.assert_close(generator_loss(kind, [FAKE]), make)


def test_scales_add_up() -> None:
    one = discriminator_loss("lsgan", [REAL], [FAKE])
    torch.testing.assert_close(discriminator_loss("lsgan", [REAL] * 2, [FAKE] * 2), 2 * one)
    torch.testing.assert_close(fake_loss("lsgan", [FAKE] * 2), 2 * fake_loss("lsgan", [FAKE]))


@pytest.mark.parametrize(
    ("kind", "sure"), [("lsgan", [1.0]), ("vanilla", [100.0]), ("hinge", [1.0])]
)
def test_a_discriminator_that_is_sure_of_the_real_loses_half_of_what_the_fakes_cost(
    kind: str, sure: list[float]
) -> None:
    both = discriminator_loss(kind, [torch.tensor(sure)], [FAKE])
    torch.testing.assert_close(both, 0.5 * fake_loss(kind, [FAKE]))


def test_the_pool_fills_then_swaps_every_second_image() -> None:
    pool, rng = ImagePool(50), np.random.default_rng(0)
    images = torch.arange(2000.0).view(-1, 1, 1, 1, 1)
    returned = []
    for image in images:
        pool.draw("discriminator", 1, rng, torch.device("cpu"))
        returned.append(pool.query(image))
    assert all(torch.equal(r, i) for r, i in zip(returned[:50], images[:50], strict=True))
    swapped = sum(not torch.equal(r, i) for r, i in zip(returned[50:], images[50:], strict=True))
    assert swapped / 1950 == pytest.approx(0.5, abs=0.04)
    assert all(r.item() <= i for i, r in enumerate(returned))  # from the past only


def test_an_empty_pool_returns_what_it_is_given_without_its_graph() -> None:
    image = torch.ones(1, 1, 1, 1, requires_grad=True)
    assert not ImagePool(0).query(image).requires_grad


def test_initialisation_is_the_original_codes() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(4096), nn.ConvTranspose2d(64, 64, 3))
    initialise(net)
    for layer in (net[0], net[2]):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=5e-4)
        assert not layer.bias.any()
    assert net[1].weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert net[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
