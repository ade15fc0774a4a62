"""Pix2PixHD's VGG loss against torchvision's own network, cut as the original code cuts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import vgg19

from bench.fetch import weights
from bench.losses.perceptual import VGG19Loss

CPU = torch.device("cpu")
SLICES = {(0, 2): 1 / 32, (2, 7): 1 / 16, (7, 12): 1 / 8, (12, 21): 1 / 4, (21, 30): 1.0}


def test_the_vgg_loss_is_pix2pixhds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA/pix2pixHD, networks.py: Vgg19 in five slices, VGGLoss with its weights."""
    torch.manual_seed(0)
    theirs = vgg19(weights=None).features.eval()
    for layer in theirs:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
    path = tmp_path / "vgg19.pth"
    torch.save({f"features.{name}": x for name, x in theirs.state_dict().items()}, path)
    monkeypatch.setattr(weights, "find", {"vgg19": path}.__getitem__)
    VGG19Loss.on.cache_clear()

    loss = VGG19Loss.on(CPU)
    assert VGG19Loss.on(CPU) is loss
    output, target = (torch.rand(2, 2, 3, 32, 32) * 2 - 1).unbind()
    output.requires_grad_()
    found = loss(output, target)

    expected, x, y = torch.zeros(()), output, target
    for (first, end), weight in SLICES.items():
        for layer in theirs[first:end]:
            x, y = (F.relu(t) if isinstance(layer, nn.ReLU) else layer(t) for t in (x, y))
        expected = expected + weight * (x - y.detach()).abs().mean()
    torch.testing.assert_close(found, expected)
    (ours,), (wanted,) = (torch.autograd.grad(v, [output]) for v in (found, expected))
    torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-5)
    assert not any(p.requires_grad for p in loss.parameters())
    VGG19Loss.on.cache_clear()
