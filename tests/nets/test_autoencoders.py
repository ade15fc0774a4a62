"""The autoencoder of latent diffusion: its published size, its code, and its loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.contracts.distiller import Trace
from bench.contracts.kinds import NETWORK, TASK
from bench.contracts.network import Autoencoder
from bench.contracts.task import Turn
from bench.tasks.autoencoding import Autoencoding


def made(width: int, size: int, **given: Any) -> Autoencoder:
    part = NETWORK.part("kl_autoencoder", given, "test")
    torch.manual_seed(0)
    network = part.load()(width, size, part.params)
    assert isinstance(network, Autoencoder)
    return network


def test_kl_f8_has_the_parameters_and_names_of_the_released_one() -> None:
    """Stable Diffusion's: encoder 34,163,592, decoder 49,490,179, two 1x1 convolutions."""
    with torch.device("meta"):
        network = made(128, 256, multiples=[1, 2, 4, 4], blocks=2)
    parts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()
    }
    assert parts == {
        "encoder": 34_163_592,
        "decoder": 49_490_179,
        "quant_conv": 72,
        "post_quant_conv": 20,
    }
    names = set(network.state_dict())
    assert {
        "encoder.down.0.downsample.conv.weight",
        "encoder.down.1.block.0.nin_shortcut.weight",
        "encoder.mid.attn_1.proj_out.bias",
        "decoder.up.3.upsample.conv.weight",
        "decoder.up.0.block.2.conv2.weight",
        "decoder.norm_out.weight",
    } <= names
    assert not any(name.startswith("encoder.down.3.downsample") for name in names)
    assert not any(name.startswith("decoder.up.0.upsample") for name in names)
    assert network.cost().params == 83_653_863


def test_a_code_is_drawn_in_training_and_the_likeliest_otherwise() -> None:
    network = made(8, 16, multiples=[1, 2], channels=3)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        mean, log_variance = network(images, ("moments",))[1]["moments"].chunk(2, 1)
        assert mean.shape == (2, 3, 8, 8)
        torch.manual_seed(5)
        drawn = network(images)[0]
        torch.manual_seed(5)
        code = mean + log_variance.mul(0.5).exp() * torch.randn(mean.shape)
        torch.testing.assert_close(drawn, network.decode(code))
        network.eval()
        assert torch.equal(network.encode(images), mean)
        assert torch.equal(network(images)[0], network.decode(mean))


def test_the_loss_is_the_error_and_the_divergence_from_a_standard_normal() -> None:
    """Against torch's own divergence of two Gaussians."""
    rng = torch.Generator().manual_seed(0)
    real, output = (torch.randn(2, 3, 8, 8, generator=rng) for _ in range(2))
    moments = torch.randn(2, 8, 4, 4, generator=rng)
    task = Autoencoding(TASK.declaration("autoencoding", "test").params({"kl": 0.5}, "test"))
    trace = Trace(real, output, {"moments": moments}, real, True, None, gan="")
    turn = Turn("generator", "train", {}, {"reconstruct": trace}, task.terms, {})
    found = task.losses(turn)
    mean, log_variance = moments.chunk(2, 1)
    normal = torch.distributions.Normal
    nats = torch.distributions.kl_divergence(
        normal(mean, log_variance.mul(0.5).exp()), normal(0.0, 1.0)
    )
    assert found["kl"].item() == pytest.approx(0.5 * nats.sum().item() / real.numel(), rel=1e-5)
    assert found["error"].item() == pytest.approx((real - output).abs().mean().item(), rel=1e-6)


def test_a_tiny_one_learns_to_reconstruct() -> None:
    network = made(8, 16, multiples=[1, 2])
    images = torch.nn.functional.interpolate(
        torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1, scale_factor=4.0
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    assert images.abs().mean() > 0.45  # the error of an image that is grey all over
    for _ in range(60):
        loss = (network(images)[0] - images).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3
