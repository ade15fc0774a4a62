"""Architectures: the papers' sizes and costs, hint shapes, and the counter itself.

Reference values are those that the papers print or that were computed independently from the
official code: parameters to every digit, MACs to 0.1 %.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import keeps
from torch import nn

from bench.check.question import Question
from bench.check.shapes import questions
from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.errors import CountError, SuiteError
from bench.evaluate.costs import count_network
from bench.maths.count import count
from bench.nets._blocks import ReflectionPad2d, expanded_residual, mirrored

GENERATORS = ["deep_mobile_resnet9", "deep_unet", "mobile_resnet9", "pix2pixhd", "resnet9", "unet"]
ASKED = [
    pytest.param(question, id=f"{name}-{question.said}")
    for name in (*GENERATORS, "patchgan", "multiscale_patchgan")
    for question in questions(NETWORK.part(name, {}, "test"))
]


def network(name: str, width: int, size: int, **given: Any) -> Generator:
    params = NETWORK.declaration(name, "test").params(given, "test")
    return NETWORK.load(name, "test")(width, size, params)


@pytest.mark.parametrize(
    ("row", "name", "width", "size", "params_m", "convention", "macs_g"),
    [
        ("WKD Table 1, Pix2Pix teacher", "unet", 64, 256, 54.41396, "macs_c2", 6.0603),
        ("WKD Table 1, Pix2Pix student", "unet", 32, 256, 13.60826, "macs_c2", 1.5560),
        ("WKD Table 3, Cityscapes teacher", "unet", 64, 1024, 54.41396, "macs_c2", 96.966),
        ("WKD Table 3, Cityscapes student", "unet", 32, 1024, 13.60826, "macs_c2", 24.896),
        ("WKD Table 2, CycleGAN teacher", "resnet9", 64, 256, 11.37818, "macs_c2", 49.6398),
        ("WKD Table 2, student", "resnet9", 16, 256, 0.71565, "macs_c2", 3.3504),
        ("WKD Table 2, student", "resnet9", 24, 256, 1.60570, "macs_c2", 7.2904),
        ("WKD Table 1, Pix2PixHD teacher", "pix2pixhd", 64, 256, 45.59335, "macs", 51.9674),
        ("WKD Table 1, Pix2PixHD student", "pix2pixhd", 12, 256, 1.60738, "macs", 2.0148),
        ("FESD Table 1, CycleGAN original", "resnet9", 64, 256, 11.37818, "macs_c3", 56.7993),
        ("FESD Table 1, student", "mobile_resnet9", 16, 256, 0.13735, "macs_c3", 1.4077),
        ("FESD Table 1, Pix2Pix student", "unet", 16, 256, 3.40445, "macs_c3", 1.2187),
        ("OMGD's teacher", "mobile_resnet9", 64, 256, 1.98707, "macs_c3", 18.3144),
        ("OMGD's code, unet_deepest_256", "deep_unet", 16, 256, 44.17194, "macs", None),
        ("OMGD's code, deepest", "deep_mobile_resnet9", 16, 256, 2.54712, "macs", None),
        ("true count", "unet", 64, 256, 54.41396, "macs", 6.0482),
        ("true count", "resnet9", 64, 256, 11.37818, "macs", 49.5515),
        ("true count", "mobile_resnet9", 64, 256, 1.98707, "macs", 11.0667),
        ("true count", "unet", 16, 256, 3.40445, "macs", 0.4063),
        ("METHODS 3.2", "mobile_resnet9", 24, 256, 0.29587, "macs", None),
        ("METHODS 3.3", "unet", 24, 256, 7.65644, "macs", None),
        ("METHODS 3.4", "pix2pixhd", 24, 256, 6.41847, "macs", None),
    ],
)  # fmt: skip
def test_sizes_and_costs_are_the_papers(
    row: str,
    name: str,
    width: int,
    size: int,
    params_m: float,
    convention: str,
    macs_g: float | None,
) -> None:
    found = count_network(name, width, size, seen=3)
    assert round(found.params / 1e6, 5) == params_m, row
    if macs_g is not None:
        assert getattr(found, convention) / 1e9 == pytest.approx(macs_g, rel=1e-3), row


@pytest.mark.parametrize(
    ("width", "channels", "params"),
    [(64, 3, 2_764_737), (48, 3, 1_557_457), (32, 3, 694_241), (16, 3, 175_089)],
)
def test_discriminators_have_the_papers_sizes(width: int, channels: int, params: int) -> None:
    assert count_network("patchgan", width, 256, channels).params == params


def test_within_a_separable_convolution_the_norm_is_instance_norm() -> None:
    """mit-han-lab/gan-compression, mobile_resnet_9blocks, ngf 8, norm batch: 39,955 parameters."""
    made = NETWORK.load("mobile_resnet9", "test")(8, 64, {"norm": "batch"})
    assert sum(p.numel() for p in made.parameters()) == 39_955


def test_a_batch_norm_discriminator_of_pairs_has_the_papers_size() -> None:
    judge = NETWORK.load("patchgan", "test")(64, 6, {"norm": "batch", "padding": 1})
    assert sum(p.numel() for p in judge.parameters()) == 2_768_705
    (logits,), found = judge(torch.zeros(1, 6, 256, 256), ("d4",))
    assert logits.shape == (1, 1, 30, 30)
    assert found["d4"].shape == (1, 512, 31, 31)


def test_the_multiscale_discriminator_judges_both_scales() -> None:
    judge = NETWORK.load("multiscale_patchgan", "test")(4, 6, {"norm": "instance"})
    logits, found = judge(torch.zeros(1, 6, 64, 64), tuple(judge.taps))
    assert [x.shape[-1] for x in logits] == [11, 7]
    assert list(found) == list(judge.taps)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet9", [(256, 64, 64)] * 4),
        ("mobile_resnet9", [(256, 64, 64)] * 4),
        ("pix2pixhd", [(512, 32, 32)] * 4),
        ("unet", [(128, 64, 64), (512, 16, 16), (1024, 16, 16), (256, 64, 64)]),
    ],
)
def test_hints_are_the_papers_layers(name: str, shapes: list[tuple[int, ...]]) -> None:
    with torch.device("meta"):
        _, found = network(name, 64, 256)(
            torch.empty(1, 3, 256, 256), ("down", "mid1", "mid2", "up")
        )
    assert [tuple(f.shape[1:]) for f in found.values()] == shapes


@pytest.mark.parametrize("question", ASKED)
def test_an_architecture_keeps_its_contract(question: Question) -> None:
    """What `distillbench check` asks of a user's own."""
    keeps(question)


class NestedUNet(nn.Module):
    """The original's nesting with in-place activations, transcribed to compare functions."""

    def __init__(self, flat: Any) -> None:
        super().__init__()
        self.flat = flat

    def block(self, level: int, x: torch.Tensor) -> torch.Tensor:
        downs, ups = self.flat.downs, self.flat.ups
        if level == 0:
            joined = self.flat.joined(self.block(1, downs[0](x)))
            return ups[0](F.relu(joined, inplace=True))
        activated = F.leaky_relu(x, 0.2, inplace=True)
        inner = downs[level](activated)
        if level < len(downs) - 1:
            inner = self.block(level + 1, inner)
        return torch.cat([x, ups[level](F.relu(inner, inplace=True))], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(0, x)


@pytest.mark.parametrize(("name", "given"), [("unet", {"dropout": 0.0}), ("deep_unet", {})])
def test_the_flat_unet_is_the_nested_one(name: str, given: dict[str, Any]) -> None:
    torch.manual_seed(0)
    flat = network(name, 4, 64, **given)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(flat(x)[0], NestedUNet(flat)(x))


def test_the_block_of_the_deeper_teachers_widens_fourfold() -> None:
    """x + conv3(pad(relu(conv1(relu(conv3(relu(conv1(pad(x)))))))), each convolution normalised."""
    torch.manual_seed(0)
    block = expanded_residual(4, "instance").double()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    state = iter(block.state_dict().values())
    y = F.pad(x, (1, 1, 1, 1), mode="reflect")
    for index, shape in enumerate([(16, 4, 1), (16, 16, 3), (4, 16, 1), (4, 4, 3)]):
        weight, bias = next(state), next(state)
        assert weight.shape == (*shape, shape[-1])
        if index == 3:
            y = F.pad(y, (1, 1, 1, 1), mode="reflect")
        y = F.conv2d(y, weight, bias)
        y = (y - y.mean((2, 3), keepdim=True)) / (
            y.var((2, 3), keepdim=True, correction=0) + 1e-5
        ).sqrt()
        y = y.clamp(min=0) if index < 3 else y
    torch.testing.assert_close(block(x), x + y, rtol=1e-12, atol=1e-12)


def test_what_discriminators_share_is_one_network_and_the_rest_is_not() -> None:
    """As OMGD's multi-head discriminator: a first block has one convolution, so has the last."""
    for name, convolutions in (("patchgan", 5), ("multiscale_patchgan", 10)):
        params = NETWORK.declaration(name, "test").params({"norm": "instance"}, "test")
        x = torch.linspace(-1, 1, 6 * 64 * 64).view(1, 6, 64, 64)
        for shared in range(6):
            first, second = (NETWORK.load(name, "test")(2, 6, params) for _ in range(2))
            second.share(first, shared)
            same = {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}
            assert len(same) == shared * 2 * convolutions // 5, (name, shared)
            outputs = [judge(x)[0][0] for judge in (first, second)]
            assert torch.equal(*outputs) == (shared == 5)
        with pytest.raises(SuiteError, match="has 5 convolutions to share, not 6"):
            second.share(first, 6)


def test_deterministic_padding_is_reflection_padding() -> None:
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64, requires_grad=True)
    for p in (1, 3):
        assert torch.equal(mirrored(x, p), F.pad(x, [p] * 4, mode="reflect"))
        assert torch.equal(ReflectionPad2d(p)(x), mirrored(x, p))
        weight = torch.randn(2, 3, 7 + 2 * p, 9 + 2 * p, dtype=torch.float64)
        grads = [
            torch.autograd.grad((padded * weight).sum(), x)[0]
            for padded in (mirrored(x, p), F.pad(x, [p] * 4, mode="reflect"))
        ]
        torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "macs_c3"),
    [
        (lambda: nn.Conv2d(3, 8, 3, padding=1), (1, 3, 16, 16), 55_296, 55_296),
        (lambda: nn.Conv2d(8, 16, 3, 2, 1, groups=4), (1, 8, 16, 16), 18_432, 18_432),
        (lambda: nn.ConvTranspose2d(8, 4, 4, 2, 1), (1, 8, 8, 8), 32_768, 131_072),
        (lambda: nn.Linear(32, 10), (5, 32), 1_600, 1_600),
    ],
)
def test_layers_are_counted_as_on_paper(layer: Any, shape: Any, macs: int, macs_c3: int) -> None:
    with torch.device("meta"):
        found = count(layer(), torch.empty(*shape))
    assert (found.macs, found.macs_c3) == (macs, macs_c3)


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x, x)


def test_fused_attention_is_counted() -> None:
    """On the CPU torch's own counter says 0."""
    with torch.device("meta"):
        assert count(Attention(), torch.empty(1, 2, 16, 8)).macs == 8192


class Exotic(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erfinv(x)


def test_an_operator_nobody_counted_is_an_error_not_zero() -> None:
    with torch.device("meta"), pytest.raises(CountError, match=r"aten.erfinv.default"):
        count(Exotic(), torch.empty(1, 3, 4, 4))


def test_counting_says_what_sizes_a_network_takes() -> None:
    with pytest.raises(SuiteError, match="multiple of 32, not 70"):
        count_network("unet", 8, 70, seen=3)
