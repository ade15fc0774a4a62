"""A student that starts from its teacher's strongest channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.maths.pruning import walk
from bench.nets._blocks import Residual

HALVED = ("unet", "resnet9", "mobile_resnet9", "pix2pixhd", "deep_mobile_resnet9")
ARCHITECTURES = (*HALVED, "deep_unet")  # its outermost blocks add one half of joined channels


def generator(name: str, width: int, **given: Any) -> Generator:
    params = NETWORK.declaration(name, "test").params(given, "test")
    made: Generator = NETWORK.load(name, "test")(width, 64, params)
    return made.eval()


def shuffle(network: nn.Module) -> None:
    """Give every weight and statistic a value of its own; variances are positive.

    Weights are small enough that no depth overflows.
    """
    for x in network.state_dict().values():
        if x.is_floating_point():
            x.uniform_(0.1, 1.0) if x.ndim == 1 else x.normal_(std=2 * x[0].numel() ** -0.5)


@torch.no_grad()
def kill_first_half(network: nn.Module) -> None:
    """Zero the first half of the channels that each layer puts out, but for the image's three."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)):
            dim = int(isinstance(layer, nn.ConvTranspose2d))
            for x in (layer.weight, layer.bias):
                if x is not None:
                    outputs = x.transpose(0, dim if x.ndim > 1 else 0)
                    if len(outputs) != 3:
                        outputs[: len(outputs) // 2] = 0


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", HALVED)
def test_a_student_without_the_teachers_dead_channels_is_the_teacher(name: str, norm: str) -> None:
    """Half of the channels do nothing; who reads one wrong channel, or misses one, differs."""
    torch.manual_seed(0)
    teacher, student = generator(name, 4, norm=norm), generator(name, 2, norm=norm)
    shuffle(teacher)
    kill_first_half(teacher)
    student.inherit(teacher)
    images = torch.rand(2, 3, 64, 64)
    found, expected = student(images)[0], teacher(images)[0]
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_student_of_the_same_width_is_the_teacher_to_the_bit(name: str) -> None:
    teacher, student = generator(name, 2), generator(name, 2)
    shuffle(teacher)
    student.inherit(teacher)
    assert all(
        torch.equal(x, y)
        for x, y in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    )


def test_the_strongest_are_measured_over_what_is_kept() -> None:
    """Filter 0 of the second layer is the strongest only through an input that is not kept."""
    teacher = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1))
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        teacher[0].weight.copy_(torch.tensor([1.0, -3.0, 2.0]).reshape(3, 1, 1, 1))
        rows = [[9.0, 0.0, 1.0], [0.0, -2.0, -2.0], [0.0, 3.0, 0.0]]
        teacher[1].weight.copy_(torch.tensor(rows).reshape(3, 3, 1, 1))
    kept = walk(student, teacher, torch.arange(1))
    assert student[0].weight.flatten().tolist() == [-3.0, 2.0]
    assert student[1].weight.flatten().tolist() == [-2.0, -2.0]
    assert kept.tolist() == [1]
    assert torch.equal(student[1].bias, teacher[1].bias[1:2])


def test_a_residual_block_adds_to_the_channels_it_was_handed() -> None:
    """Its own strongest outputs are others."""
    teacher, student = (
        nn.Sequential(nn.Conv2d(1, 2 * n, 1), Residual(nn.Conv2d(2 * n, 2 * n, 1))) for n in (2, 1)
    )
    block = torch.tensor([9.0, 1.0, 9.0, 1.0]).reshape(4, 1) * torch.arange(1.0, 5.0)
    with torch.no_grad():
        teacher[0].weight.copy_(torch.tensor([1.0, 3.0, 2.0, 4.0]).reshape(4, 1, 1, 1))
        teacher[1].conv_block[0].weight.copy_(block.reshape(4, 4, 1, 1))
    kept = walk(student, teacher, torch.arange(1))
    assert kept.tolist() == [1, 3]
    assert student[1].conv_block[0].weight.flatten().tolist() == [2.0, 4.0, 2.0, 4.0]
