"""Denoising U-Nets: the papers' sizes and costs, and blocks against their equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_networks import network
from torch import nn

from bench.contracts.network import Generator
from bench.errors import SuiteError
from bench.evaluate.costs import count_network
from bench.maths.dwt import bands
from bench.nets._denoising import AttentionBlock, ResBlock, Upsample, group_norm, time_features
from bench.nets.sd_unet import GatedDown, GatedUp

TEXT = {
    "multiples": [1, 2, 4, 4],
    "heads": 8,
    "attention": [1, 2, 4],
    "context": 768,
    "channels": 4,
}
CLASSES = {"multiples": [1, 2, 3, 5], "heads": 1, "context": 512}
CHURCHES = {
    "multiples": [1, 2, 2, 4, 4], "heads": 8, "attention": [1, 2, 4, 8], "channels": 4,
    "scale_shift": True, "residual_resampling": True,
}  # fmt: skip
SMALL = {"multiples": [1, 2, 2], "blocks": 1, "attention": [4]}
TINY: dict[str, Any] = {"multiples": [1, 2], "blocks": 1, "attention": [2]}
BOTH = pytest.mark.parametrize("name", ["ldm_unet", "sd_unet"])


@pytest.mark.parametrize(
    ("row", "name", "width", "size", "given", "params", "macs_g", "macs_c5_g"),
    [
        ("LDM on FFHQ, SD's teacher", "ldm_unet", 224, 64, {}, 274_056_163, 101.2000, 96.018),
        ("Lite-LDM", "ldm_unet", 64, 64, {}, 22_411_843, 9.3289, 7.848),
        ("SD, unconditional", "sd_unet", 64, 64, {}, 21_094_683, 8.1788, 6.698),
        ("text to image without gates", "ldm_unet", 96, 32, TEXT, 81_480_484, None, None),
        ("ImageNet, teacher", "ldm_unet", 192, 64, CLASSES, 400_920_579, None, 99.77),
        ("ImageNet, Lite", "ldm_unet", 64, 64, CLASSES, 47_026_179, None, 11.10),
        ("ImageNet, SD", "sd_unet", 64, 64, CLASSES, 45_423_643, None, 9.865),
        ("LDM on churches", "ldm_unet", 192, 32, CHURCHES, 294_966_916, 20.924, 18.641),
        ("churches, Lite", "ldm_unet", 64, 32, CHURCHES, 32_827_268, None, 2.074),
        ("small", "ldm_unet", 32, 32, SMALL, 1_113_955, 0.24986, None),
        ("small, gated", "sd_unet", 32, 32, SMALL, 1_015_763, 0.19980, None),
    ],
)
def test_sizes_and_costs_are_the_papers(
    row: str,
    name: str,
    width: int,
    size: int,
    given: dict[str, Any],
    params: int,
    macs_g: float | None,
    macs_c5_g: float | None,
) -> None:
    """As counted in another implementation; rows of FFHQ in diffusers' UNet2DModel too."""
    found = count_network(name, width, size, 3, given)
    assert found.params == params, row
    for expected, macs in ((macs_g, found.macs), (macs_c5_g, found.macs_c5)):
        if expected is not None:
            assert macs / 1e9 == pytest.approx(expected, rel=5e-4), row


def test_the_text_to_image_network_costs_what_the_paper_says() -> None:
    """77.6M parameters; with CLIP's 77 vectors."""
    with torch.device("meta"):
        made = network("sd_unet", 96, 32, **TEXT)
        image, time, _ = made.example()
        found = made.cost(image, time, torch.empty(1, 77, 768))
    assert found.params == 77_562_652
    assert (found.macs, found.macs_c5) == (8_517_700_992, 7_235_902_848)


def test_sizes_are_those_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    for width, params in ((224, 274_056_163), (64, 22_411_843)):
        with torch.device("meta"):
            made = diffusers.UNet2DModel(
                sample_size=64,
                block_out_channels=tuple(m * width for m in (1, 2, 3, 4)),
                layers_per_block=2,
                down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * 3),
                up_block_types=(*["AttnUpBlock2D"] * 3, "UpBlock2D"),
                attention_head_dim=32,
            )
        assert sum(p.numel() for p in made.parameters()) == params


def filled(name: str, width: int = 8, size: int = 16, **given: Any) -> Generator:
    """Return a network whose last convolutions are no zeros."""
    torch.manual_seed(0)
    made = network(name, width, size, **{**TINY, **given})
    for parameter in made.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    return made


@BOTH
def test_a_new_network_predicts_nothing_and_repeats(name: str) -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        one = network(name, 8, 16, **TINY)
        one.initialise()
        made.append(one)
    out, _ = made[0](torch.randn(2, 3, 16, 16), torch.tensor([0, 999]))
    assert torch.equal(out, torch.zeros(2, 3, 16, 16))
    assert all(
        torch.equal(a, b) for a, b in zip(*(m.state_dict().values() for m in made), strict=True)
    )


@BOTH
@pytest.mark.parametrize("width", [8, 16, 24])
def test_every_weight_gets_a_gradient_at_small_widths(name: str, width: int) -> None:
    made = filled(name, width)
    out, _ = made(torch.randn(2, 3, 16, 16), torch.tensor([5, 700]))
    out.square().mean().backward()
    for parameter_name, parameter in made.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@BOTH
def test_the_time_is_told_and_images_do_not_see_each_other(name: str) -> None:
    made = filled(name)
    images, times = torch.randn(3, 3, 16, 16), torch.tensor([5, 5, 700])
    together, _ = made(images, times)
    alone, _ = made(images[2:], times[2:])
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-4)
    other, _ = made(images, torch.tensor([5, 5, 701]))
    assert torch.equal(together[:2], other[:2])
    assert not torch.allclose(together[2], other[2], rtol=1e-4)


@BOTH
def test_hints_change_no_bit_and_have_the_grids_of_their_levels(name: str) -> None:
    made = filled(name, multiples=[1, 2, 3])
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([1, 2])
    plain, nothing = made(x, t)
    hinted, found = made(x, t, hints=("decoder3", "decoder1"))
    assert nothing == {}
    assert torch.equal(plain, hinted)
    assert {role: tuple(f.shape) for role, f in found.items()} == {
        "decoder3": (2, 24, 4, 4),
        "decoder1": (2, 8, 16, 16),
    }
    with pytest.raises(SuiteError, match=r"with 3 levels has no hint 'decoder4'; it has decoder1"):
        made(x, t, hints=("decoder4",))


def test_gates_are_told_where_they_stand() -> None:
    made = filled("sd_unet", multiples=[1, 2, 3])
    roles = [f"gates_{way}{level}" for way in ("down", "up") for level in (1, 2)]
    _, found = made(torch.randn(2, 3, 16, 16), torch.tensor([1, 2]), hints=roles)
    for role in roles:
        assert found[role].shape == (2, 4, 1, 1)
        assert ((found[role] > 0) & (found[role] < 1)).all()


def test_a_gated_sum_is_of_the_wavelet_bands() -> None:
    torch.manual_seed(0)
    down, x = GatedDown(8), torch.randn(2, 8, 6, 6)
    found, gates = down(x)
    expected = bands(x, 1)
    mixed = sum(
        gates[:, [place]] * expected[f"{name}1"]
        for place, name in enumerate(("LL", "LH", "HL", "HH"))
    )
    torch.testing.assert_close(found, down.mix(mixed), rtol=1e-5, atol=1e-6)
    assert torch.equal(gates.flatten(1), down.gates.ffn(x.mean((2, 3))).sigmoid())


def test_gates_that_let_all_pass_lose_nothing() -> None:
    """Up: the bands of what comes out are the quarters that went in."""
    torch.manual_seed(0)
    up, x = GatedUp(8), torch.randn(2, 8, 5, 5)
    nn.init.zeros_(up.gates.ffn[2].weight)
    nn.init.constant_(up.gates.ffn[2].bias, 100.0)
    up.mix = nn.Identity()
    found = bands(up(x)[0], 1)
    quarters = x.chunk(4, 1)
    for name, quarter in zip(("LL", "LH", "HL", "HH"), quarters, strict=True):
        torch.testing.assert_close(found[f"{name}1"], quarter)


def test_attention_is_ldms_qkv_attention() -> None:
    """`QKVAttentionLegacy`: q, k and v lie side by side in each head; both scaled by C^-1/4."""
    torch.manual_seed(0)
    block, x = AttentionBlock(16, 2), torch.randn(3, 16, 4, 5)
    nn.init.normal_(block.proj_out.weight)
    qkv = block.qkv(block.norm(x.flatten(2))).reshape(3 * 2, 3 * 8, 20)
    q, k, v = qkv.split(8, dim=1)
    weight = torch.einsum("bct,bcs->bts", q / 8**0.25, k / 8**0.25).softmax(-1)
    out = torch.einsum("bts,bcs->bct", weight, v).reshape(3, 16, 20)
    expected = x + block.proj_out(out).view_as(x)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_taps_that_are_added_up_make_what_enlarged_pixels_make() -> None:
    """Borders too; and weights, bias and input have the same gradients."""
    torch.manual_seed(0)
    up, x = Upsample(5).double(), torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    expected = up.conv(nn.functional.interpolate(x, scale_factor=2.0))
    weight = torch.randn_like(expected)
    known = (x, up.conv.weight, up.conv.bias)
    gradients = torch.autograd.grad((expected * weight).sum(), known)
    found = up(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    again = torch.autograd.grad((found * weight).sum(), known)
    torch.testing.assert_close(again, gradients, rtol=1e-11, atol=1e-11)


def test_time_scales_and_shifts_where_it_should() -> None:
    torch.manual_seed(0)
    block = ResBlock(8, 8, 4, scale_shift=True, resample=nn.AvgPool2d(2))
    nn.init.normal_(block.out_layers[3].weight)
    x, told = torch.randn(2, 8, 4, 4), torch.randn(2, 4)
    scale, shift = block.emb_layers(told)[:, :, None, None].chunk(2, 1)
    inner = block.in_layers[2](nn.functional.avg_pool2d(block.in_layers[:2](x), 2))
    inner = block.out_layers[3](
        nn.functional.silu(block.out_layers[0](inner) * (1 + scale) + shift)
    )
    torch.testing.assert_close(block(x, told), nn.functional.avg_pool2d(x, 2) + inner)


def test_a_context_changes_what_is_made() -> None:
    made = filled("ldm_unet", context=6)
    assert made.example(2)[2].shape == (2, 1, 6)
    x, t = torch.randn(1, 3, 16, 16), torch.tensor([10])
    one, other = (
        made(x, t, torch.full((1, 3, 6), value) + torch.eye(3, 6))[0] for value in (0.0, 1.0)
    )
    assert not torch.allclose(one, other, rtol=1e-3)


def test_times_become_cosines_and_sines() -> None:
    found = time_features(torch.tensor([0, 7]), 4)
    angles = 7 * np.array([1.0, 10_000**-0.5])
    expected = [[1, 1, 0, 0], [*np.cos(angles), *np.sin(angles)]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert time_features(torch.tensor([3]), 5).shape == (1, 5)


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(224, 32), (64, 32), (96, 32), (48, 12), (24, 6), (8, 2), (6, 1), (2, 1)],
)
def test_norms_have_32_groups_or_as_many_as_are_four_wide(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize(
    ("name", "width", "size", "given", "said"),
    [
        ("ldm_unet", 8, 12, {}, "4 levels need a side that is a multiple of 8 pixels, found 12"),
        ("ldm_unet", 8, 16, {"multiples": []}, "give 1 to 5 whole numbers"),
        ("ldm_unet", 8, 16, {"multiples": ["1"]}, "give 1 to 5 whole numbers"),
        ("ldm_unet", 8, 16, {"blocks": 0}, "blocks: should be at least 1, found 0"),
        ("ldm_unet", 9, 16, {"heads": 2}, "2 heads of attention do not divide 9 channels"),
        ("sd_unet", 6, 16, {"multiples": [1, 1]}, "6 channels does not split into 4 bands"),
        ("sd_unet", 8, 16, {"residual_resampling": True}, "its gates resample"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said(
    name: str, width: int, size: int, given: dict[str, Any], said: str
) -> None:
    attention = {"attention": [1]} if "heads" in given else {}
    with pytest.raises(SuiteError, match=said):
        network(name, width, size, **given, **attention)
