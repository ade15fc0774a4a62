"""Networks of style transfer: PCA-KD's sizes, and what they compute against numpy.

The reference below is numpy throughout: explicit windows, `np.pad`, and scipy's matrix roots. Where
PCA-KD's released files are at hand (the folder `DISTILLBENCH_PCA_KD`), the same students are held
against values that were computed from the official TensorFlow graph's description, and whose
stylised images equal the authors' own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from released_students import STUDENTS, released, student
from torch import nn

from bench.contracts.kinds import NETWORK
from bench.errors import SuiteError
from bench.evaluate.costs import count_network
from bench.nets._source import channel_means, floored, level_variances
from bench.nets._style import StyleNet

Array = NDArray[np.float64]
HAAR = 1344  # MACs per pixel of WCT2's fixed kernels, which the reference count leaves out
TABLE_1 = [  # (row of PCA-KD's Table 1, network, widths, parameters, MACs per pixel)
    ("WCT2, 10.12M", "wct2", (64, 128, 256, 512), 10_121_871, 1_166_418 + HAAR),
    ("PhotoWCT-HFR, 8.35M", "photowct", (64, 128, 256, 512), 8_349_948, 1_237_320),
    ("PhotoWCT2, printed 7.05M", "photowct2", (64, 128, 256, 512), 7_010_959, 724_050),
    ("CKD, 526K", "ckd", (16, 32, 64, 128), 525_860, 81_936),
    ("Ours-VGG-CKD, 440K", "pca_vgg", (16, 32, 64, 128), 439_552, 46_323),
    ("Ours-VGG, 283K", "pca_vgg", (10, 20, 58, 64), 283_236, 28_213),
    ("Ours-Mob, printed 73K", "pca_mobile", (10, 19, 37, 54), 52_742, 2_855),
]


@pytest.mark.parametrize(("row", "name", "width", "params", "macs"), TABLE_1)
def test_sizes_are_those_of_table_1(
    row: str, name: str, width: tuple[int, ...], params: int, macs: int
) -> None:
    found = count_network(name, width, 256, seen=3)
    assert found.params == params, row
    assert round(found.macs / 256**2) == macs, row


def layers(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(
    ("kind", "encoder", "decoder"),
    [
        (
            "vgg",
            [12, 280, 910, 1820, 3620, 10498, 30334, 30334, 30334, 33472],
            [354, 1810, 910, 10460, 3620, 33466, 30334, 30334, 30334],
        ),
        (
            "mobilenet",
            [280, 100, 209, 190, 740, 370, 1406, 370, 2052, 540, 2970, 540],
            [354, 1720, 910, 6346, 3268, 18019, 12358],
        ),
    ],
)
def test_every_layer_of_the_students_has_the_released_size(
    kind: str, encoder: list[int], decoder: list[int]
) -> None:
    network = student(kind, 32)
    for part, wanted in ((network.encoder, encoder), (network.decoder, decoder)):
        assert [sum(p.numel() for p in c.parameters()) for c in layers(part)] == wanted


def grad(height: int, width: int, k: int) -> Array:
    """Return a picture of waves, a ramp and a chequerboard: [3, H, W] in [0, 1]."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    red = 0.5 + 0.5 * np.sin(2 * np.pi * ((3 + k) * x / width + y / height))
    green = (x + y) / (height + width - 2)
    blue = 0.2 + 0.6 * ((np.floor(x / 8) + np.floor(y / 8)) % 2)
    return np.stack([red, green, blue])


def convolved(x: Array, layer: nn.Conv2d, *, relu: bool = True) -> Array:
    """[C, H, W] -> what a convolution makes of it, over reflected borders."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    side, stride = weight.shape[-1], layer.stride[0]
    if side == 3:
        rim = (0, 1) if stride == 2 else (1, 1)
        x = np.pad(x, ((0, 0), rim, rim), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    pattern = "chwij,cij->chw" if layer.groups > 1 else "chwij,ocij->ohw"
    kernel = weight[:, 0] if layer.groups > 1 else weight
    found = np.einsum(pattern, windows, kernel, optimize=True) + bias[:, None, None]
    return np.maximum(found, 0) if relu else found


def residual(x: Array) -> Array:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return x - windows.mean((3, 4))


def doubled(x: Array) -> Array:
    """Three quarters of the nearer pixel and one of the farther, axis by axis."""
    for axis in (1, 2):
        x = np.moveaxis(x, axis, -1)
        padded = np.concatenate([x[..., :1], x, x[..., -1:]], -1)
        even, odd = (0.75 * x + 0.25 * padded[..., i : i + x.shape[-1]] for i in (0, 2))
        x = np.moveaxis(np.stack([even, odd], -1).reshape(*x.shape[:-1], -1), -1, axis)
    return x


def pooled(x: Array) -> Array:
    c, h, w = x.shape
    return x.reshape(c, h // 2, 2, w // 2, 2).max((2, 4))


def encoded(kind: str, network: StyleNet, x: Array) -> tuple[list[Array], list[Array]]:
    features, skips = [], []
    for number, block in enumerate(network.encoder):
        skips.append(residual(x))
        convs = layers(block)
        if kind == "vgg":
            first, last = convs[:-1], convs[-1]
            for layer in first:
                x = convolved(x, layer, relu=number > 0)
            x = convolved(pooled(x) if number else x, last)
        else:
            x = 2 * x - 1 if number == 0 else x
            for layer in convs:
                x = convolved(x, layer)
        features.append(x)
    return features, skips


def decoded(kind: str, network: StyleNet, level: int, x: Array, skip: Array) -> Array:
    first, *others = layers(network.decoder[level])
    if kind == "vgg":
        if level == 0:
            return convolved(np.concatenate([x, skip]), first, relu=False)
        x = doubled(convolved(x, first))
    else:
        x = doubled(x)
        if level == 0:
            return convolved(np.concatenate([x, skip]), first, relu=False)
        x = convolved(x, first)
    for layer in others[:-1]:
        x = convolved(x, layer)
    return convolved(x + skip, others[-1])


def coloured(content: Array, style: Array) -> Array:
    rows = [x.reshape(len(x), -1) for x in (content, style)]
    covs = [np.cov(r, bias=True) + np.eye(len(r)) for r in rows]
    transform = scipy.linalg.sqrtm(covs[1]).real @ np.linalg.inv(scipy.linalg.sqrtm(covs[0]).real)
    means = [r.mean(1, keepdims=True) for r in rows]
    return (transform @ (rows[0] - means[0]) + means[1]).reshape(content.shape)


def psnr(found: torch.Tensor, wanted: Array) -> float:
    return float(-10 * np.log10(np.square(found.double().numpy() - wanted).mean()))


def seeded(kind: str) -> StyleNet:
    """Return a student whose weights keep the size of what passes, with biases."""
    torch.manual_seed(7)
    network = student(kind, 96)
    for layer in layers(network):
        nn.init.kaiming_normal_(layer.weight)
        assert layer.bias is not None
        nn.init.normal_(layer.bias, 0.05, 0.1)
    return network


@torch.no_grad()
@pytest.mark.parametrize("kind", STUDENTS)
def test_students_compute_what_numpy_computes(kind: str) -> None:
    """Levels, residuals, reconstruction and stylised image; of content and style of two sizes.

    Each structural mistake that is known to be made (padding, pooling, residual, enlargement, where
    the skip goes, the transform's unit matrix) costs so much that 60 dB finds it.
    """
    network, content, style = seeded(kind), grad(48, 64, 0), grad(80, 32, 2)[::-1].copy()
    images = [torch.from_numpy(x[None]).float() for x in (content, style)]
    features, skips = encoded(kind, network, content)
    codes = network.encode(images[0])
    for mine, wanted in zip((*codes.features, *codes.skips), (*features, *skips), strict=True):
        np.testing.assert_allclose(mine[0], wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    wanted_style, _ = encoded(kind, network, style)
    again, stylised = features[-1], features[-1]
    for level in (3, 2, 1, 0):
        again = decoded(kind, network, level, again, skips[level])
        stylised = coloured(stylised, wanted_style[level])
        stylised = decoded(kind, network, level, stylised, skips[level])
    scale = np.abs(again).max()
    assert psnr(network.block(images[0], 4).image[0] / scale, again / scale) > 80
    assert psnr(network.stylise(*images)[0] / scale, stylised / scale) > 80
    x, y = (2 * image - 1 for image in images)
    assert torch.equal(network(x)[0], 2 * network.block((x + 1) / 2, 4).image - 1)
    assert torch.equal(network(x, y)[0], 2 * network.stylise((x + 1) / 2, (y + 1) / 2) - 1)


@torch.no_grad()
@pytest.mark.parametrize("kind", STUDENTS)
def test_a_pair_of_blocks_is_seen_from_outside(kind: str) -> None:
    network, image = seeded(kind), torch.from_numpy(grad(32, 48, 1)[None]).float()
    codes = network.encode(image)
    for depth in (1, 2, 3, 4):
        block = network.block(image, depth)
        torch.testing.assert_close(block.feature, codes.features[depth - 1])
        if depth == 1:
            assert block.below is None
            assert block.decoded is None
        else:
            assert torch.equal(block.below, codes.features[depth - 2])
            made = network.decoder[depth - 1](block.feature, codes.skips[depth - 1])
            assert torch.equal(block.decoded, made)
    _, hints = network(2 * image - 1, hints=("relu1", "relu4"))
    assert [tuple(h.shape[1:2]) for h in hints.values()] == [(10,), (codes.features[3].shape[1],)]


def given() -> Path:
    """Return the folder of the released files, where there is one."""
    folder = os.environ.get("DISTILLBENCH_PCA_KD", "")
    if not folder:
        pytest.skip("DISTILLBENCH_PCA_KD names no folder with PCA-KD's released files")
    return Path(folder)


RELEASED = {  # whole-tensor mean and population standard deviation; image mean and deviation by channel
    "vgg": {
        "enc": [(10.7726, 7.36556), (16.0098, 13.9685), (16.4386, 18.930), (1.43058, 2.36824)],
        "skip": [0.0776303, 1.28353, 0.745269, 0.743509],
        "again": ((0.4684, 0.4807, 0.4773), (0.3393, 0.1988, 0.2953)),
        "stylised": ((0.5009, 0.5006, 0.5027), (0.2329, 0.2104, 0.3833)),
    },
    "mobilenet": {
        "enc": [(3.11438, 2.2598), (2.86775, 1.93062), (5.83997, 3.58317), (2.73999, 2.34623)],
        "skip": [0.0776303, 0.644471, 0.824178, 0.585418],
        "again": ((0.5058, 0.4961, 0.4429), (0.2720, 0.1676, 0.2860)),
        "stylised": ((0.5256, 0.5072, 0.4980), (0.2224, 0.1999, 0.3548)),
    },
}


@torch.no_grad()
@pytest.mark.parametrize("kind", STUDENTS)
def test_released_students_make_what_they_made(kind: str) -> None:
    network, wanted = released(kind, given(), 96), RELEASED[kind]
    content, style = (
        torch.from_numpy(x[None].copy()).float() for x in (grad(96, 128, 0), grad(80, 112, 2)[::-1])
    )
    codes = network.encode(content)
    for feature, (mean, std) in zip(codes.features, wanted["enc"], strict=True):
        assert float(feature.mean()) == pytest.approx(mean, rel=1e-3)
        assert float(feature.std(correction=0)) == pytest.approx(std, rel=1e-3)
    for skip, std in zip(codes.skips, wanted["skip"], strict=True):
        assert float(skip.std(correction=0)) == pytest.approx(std, rel=1e-3)
    made = {"again": network.block(content, 4).image, "stylised": network.stylise(content, style)}
    for name, image in made.items():
        for found, values in zip(
            (image[0].mean((1, 2)), image[0].std((1, 2), correction=0)), wanted[name], strict=True
        ):
            assert found.tolist() == pytest.approx(values, abs=1e-4)


OTHERS = {"wct2": 4, "photowct2": 4, "photowct": 4, "ckd": 16}  # name -> channels of level 1


def other(name: str) -> StyleNet:
    torch.manual_seed(0)
    first = OTHERS[name]
    made = NETWORK.load(name, "test")((first, first, 2 * first, first), 32, {})
    made.initialise()
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", OTHERS)
def test_compared_networks_stylise_a_pair_of_two_sizes(name: str) -> None:
    network = other(name)
    content, style = (torch.from_numpy(grad(*s)[None]).float() for s in ((32, 48, 0), (24, 40, 2)))
    made = network.stylise(content, style)
    assert made.shape == content.shape
    assert made.isfinite().all()
    assert not torch.allclose(made, network.stylise(content, content))


@torch.no_grad()
def test_without_a_retouch_only_a_cascade_is_more_than_a_reconstruction() -> None:
    x = torch.from_numpy(grad(32, 32, 0)[None]).float()
    for name in ("wct2", "photowct2"):
        network = other(name)
        plain = network.transfer(x, x, lambda level, z, wanted: z)
        torch.testing.assert_close(plain, network.block(x, 4).image)
    cascade = other("photowct")
    wanted = x
    for depth in (4, 3, 2, 1):
        wanted = cascade.block(wanted, depth).image
    torch.testing.assert_close(cascade.transfer(x, x, lambda level, z, wanted: z), wanted)


@torch.no_grad()
def test_haars_kernels_lose_nothing_and_are_not_drawn() -> None:
    network = other("wct2")
    x = torch.rand(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    bands = [layer(x) for layer in network.encoder[1].pool]
    layers_up = network.decoder[1].unpool
    back = sum(layer(band) for layer, band in zip(layers_up, bands, strict=True))
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(bands[0], 2 * nn.functional.avg_pool2d(x, 2))


@torch.no_grad()
def test_vgg19_reads_torchvisions_layers_and_its_channels_mean_one() -> None:
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    published = make_layers(cfgs["E"])[:21].eval()  # up to relu4_1
    for layer in published:
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "reflect"
    state = {f"features.{name}": x for name, x in published.state_dict().items()}
    network = NETWORK.load("vgg19", "test")((64, 128, 256, 512), 32, {}).eval()
    network.read(state)
    image = torch.from_numpy(grad(32, 40, 0)[None]).float()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, wanted = (image - mean[:, None, None]) / std[:, None, None], []
    for index, layer in enumerate(published):
        x = layer(x)
        wanted += [x.clone()] if index in (1, 6, 11, 20) else []
    plain = [f.clone() for f in network.encode(image).features]
    for mine, theirs in zip(plain, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
    divisors = [floored(m) for m in channel_means(network, [(2 * image - 1,)])]
    from bench.nets._source import divide

    divide(list(network.encoder), divisors)
    for level, feature in enumerate(network.encode(image).features):
        scaled = plain[level] / divisors[level].float()[:, None, None]
        torch.testing.assert_close(feature, scaled, rtol=1e-3, atol=1e-5)
        means = feature.mean((0, 2, 3))
        assert float(means.max()) == pytest.approx(1, abs=1e-4)
        above = plain[level].mean((0, 2, 3)) > 0.11 * plain[level].mean()
        torch.testing.assert_close(means[above], torch.ones_like(means[above]), atol=1e-3, rtol=0)


@torch.no_grad()
def test_a_random_source_has_unit_variance_and_only_its_decoder_trains() -> None:
    torch.manual_seed(0)
    network = NETWORK.load("random_vgg", "test")((6, 8, 10, 12), 32, {}).eval()
    network.initialise()
    inputs = [(torch.from_numpy(2 * grad(32, 32, k)[None] - 1).float(),) for k in range(3)]
    assert float(level_variances(network, inputs)[3]) != pytest.approx(1, abs=0.1)
    network.start(inputs, {})
    for variance in level_variances(network, inputs):
        assert float(variance) == pytest.approx(1, rel=1e-4)
    moving = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert moving == {"decoder"}


@torch.no_grad()
def test_mobilenet_folds_its_norms_into_what_keras_computes() -> None:
    """Against convolution, batch norm and ReLU6 one after the other, over borders of zeros."""
    rng = np.random.default_rng(0)
    state: dict[str, np.ndarray] = {}
    shapes = [("conv1", (3, 3, 3, 32))]
    widths = [(32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
    for n, (before, after) in enumerate(widths, 1):
        shapes += [(f"conv_dw_{n}", (3, 3, before, 1)), (f"conv_pw_{n}", (1, 1, before, after))]
    for name, shape in shapes:
        is_depthwise = "_dw_" in name
        fan = 9 if is_depthwise else np.prod(shape[:3])
        kernel = rng.standard_normal(shape) * np.sqrt(2 / fan)
        state[f"{name}/{'depthwise_kernel' if is_depthwise else 'kernel'}"] = kernel
        count = shape[2] if is_depthwise else shape[3]
        for part, low in (("gamma", 0.5), ("beta", -0.2), ("moving_mean", -0.5)):
            state[f"{name}_bn/{part}"] = rng.uniform(low, 1.5, count)
        state[f"{name}_bn/moving_variance"] = rng.uniform(0.2, 2, count)
    tensors = {name: torch.from_numpy(x).float() for name, x in state.items()}
    network = NETWORK.load("mobilenet", "test")((32, 64, 128, 256), 32, {}).eval()
    network.read(tensors)
    image = torch.from_numpy(grad(32, 48, 0)[None]).float()
    x, wanted = 2 * image - 1, []
    for name, _ in shapes[:12]:
        halves = name in ("conv1", "conv_dw_2", "conv_dw_4", "conv_dw_6")
        if "_pw_" not in name:
            x = nn.functional.pad(x, (0, 1, 0, 1) if halves else (1, 1, 1, 1))
        is_depthwise = "_dw_" in name
        kernel = tensors[f"{name}/{'depthwise_kernel' if is_depthwise else 'kernel'}"]
        order = (2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)
        groups = x.shape[1] if is_depthwise else 1
        x = nn.functional.conv2d(x, kernel.permute(order), None, 2 if halves else 1, groups=groups)
        gamma, beta, mean, var = (
            tensors[f"{name}_bn/{p}"] for p in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = nn.functional.relu6(nn.functional.batch_norm(x, mean, var, gamma, beta, eps=1e-3))
        wanted += [x] if halves else []
    for mine, theirs in zip(network.encode(image).features, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg19", "mobilenet"])
def test_a_published_source_has_one_width(name: str) -> None:
    with pytest.raises(SuiteError, match=f"{name} has one width"):
        NETWORK.load(name, "test")((8, 8, 8, 8), 32, {})
