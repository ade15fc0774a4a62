"""Metrics of single images against other libraries, closed forms and values computed elsewhere."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import piq
import pytest
import torch
import torchvision
from inception_weights import photographs
from skimage.metrics import structural_similarity
from test_metrics import reference_pair
from torch import Tensor

from bench.contracts.kinds import METRIC
from bench.errors import DataError, SuiteError, WeightsError
from bench.fetch import weights
from bench.metrics import _memo as memo
from bench.metrics._memo import Memo

NETS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def metric(name: str, **params: Any) -> Any:
    return METRIC.load(name, "test")(
        {**METRIC.declaration(name, "test").fields["defaults"], **params}
    )


def score(name: str, output: Tensor, target: Tensor, **params: Any) -> dict[str, float]:
    made = metric(name, **params)
    made.add(output, target)
    return made.value()


def images(n: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Smooth 8-bit pictures and noisy copies, [n, 3, height, width] float32 in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 6, generator=random)
    target = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    output = target + 0.1 * torch.randn(target.shape, generator=random)
    return tuple(x.clamp(0, 1).mul(255).round().div(255) for x in (output, target))


# SSIM


def wang(a: Tensor, b: Tensor) -> float:
    """SSIM of one pair in float64, by scikit-image."""
    return structural_similarity(
        a.double().numpy(),
        b.double().numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


@pytest.mark.parametrize(("height", "width"), [(11, 11), (64, 64), (37, 90), (400, 390)])
def test_ssim_in_float32_is_scikit_images_in_float64(height: int, width: int) -> None:
    """Also from 384 px, where piq and others average pixels first."""
    output, target = images(2, height, width)
    expected = np.mean([wang(a, b) for a, b in zip(output, target, strict=True)])
    assert score("ssim", output, target)["ssim"] == pytest.approx(expected, abs=1e-6)


def drawing() -> Tensor:
    """Black and white areas and lines, [1, 3, 128, 128]."""
    drawn = torch.ones(1, 3, 128, 128)
    drawn[..., :40] = drawn[:, :, 40:44] = drawn[..., 70:73] = 0
    return drawn


@pytest.mark.parametrize("damage", ["specks", "noise", "shift", "inverse"])
def test_ssim_of_drawings_keeps_its_digits(damage: str) -> None:
    """Variances as E[x^2] - E[x]^2 in float32 are off by 1e-5 to 1e-4 on flat areas."""
    target = drawing()
    output = {
        "specks": lambda: target - (1 / 255) * (torch.rand_like(target) < 0.01) * target,
        "noise": lambda: target + 0.02 * torch.randn_like(target),
        "shift": lambda: target.roll(2, -1),
        "inverse": lambda: 1 - target,
    }
    torch.manual_seed(0)
    made = output[damage]().clamp(0, 1).mul(255).round().div(255)
    expected = wang(made[0], target[0])
    assert score("ssim", made, target)["ssim"] == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(("left", "right"), [(1.0, 0.4), (0.2, 0.8), (0.6, 0.4)])
def test_ssim_of_flat_areas_at_other_levels_is_near(left: float, right: float) -> None:
    """What float32 cannot hold better: the bound of the docstring."""
    output = torch.full((1, 3, 128, 128), left)
    output[..., 50:] = right
    target = output.flip(-1)
    expected = wang(output[0], target[0])
    assert score("ssim", output, target)["ssim"] == pytest.approx(expected, abs=5e-5)


def test_ssim_of_images_smaller_than_its_window_is_an_error() -> None:
    with pytest.raises(DataError, match="images of 12x10 px are smaller than its window of 11x11"):
        score("ssim", *images(1, 10, 12))


# FSIM

FSIM = {  # case of reference_pair: FSIM, FSIMc; float64, from the paper's formulas in numpy
    0: (1.0, 1.0),
    1: (0.9995558563, 0.9995481277),
    2: (0.8938161241, 0.8827591217),
    3: (0.7400027064, 0.7255866897),
    4: (0.9886964442, 0.9462402919),  # the product of chrominance similarities is negative
}


@pytest.mark.parametrize("case", FSIM)
def test_fsim_equals_reference_values_computed_elsewhere(case: int) -> None:
    pair = [torch.from_numpy(i.transpose(2, 0, 1)[None] / 255) for i in reference_pair(case)]
    found = score("fsim", *pair)
    assert tuple(found.values()) == pytest.approx(FSIM[case], abs=1e-9)
    found = score("fsim", *(x.float() for x in pair))
    assert tuple(found.values()) == pytest.approx(FSIM[case], abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 65), (61, 90), (384, 386)])
def test_fsim_of_luminance_is_piqs(height: int, width: int) -> None:
    """Odd sizes have frequencies of their own, and from 384 px on pixels are averaged.

    Not to the last digit: piq takes the lower of two medians and another epsilon.
    """
    output, target = images(2, height, width)
    expected = piq.fsim(output.double(), target.double(), chromatic=False).item()
    assert score("fsim", output, target)["fsim"] == pytest.approx(expected, abs=2e-5)


def test_fsim_halves_the_image_from_384_px_and_takes_a_third_from_640() -> None:
    """Python rounds 2.5 to 2; the paper's authors round it to 3."""
    output, target = images(1, 640, 642)
    thirds = [torch.nn.functional.avg_pool2d(x, 3) for x in (output, target)]
    assert score("fsim", output, target) == pytest.approx(score("fsim", *thirds), abs=1e-5)


def test_fsim_is_symmetric() -> None:
    output, target = images(1, 48, 40)
    assert score("fsim", output, target) == pytest.approx(score("fsim", target, output))


@pytest.mark.parametrize("which", ["output", "target", "both, of other colours"])
def test_fsim_of_a_flat_image_is_low_as_piq_has_it(which: str) -> None:
    """A collapsed generator must score badly, not vanish."""
    photo = photographs(1, 64, seed=0) / 255
    flat = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    pair = {"output": (flat, photo), "target": (photo, flat)}.get(which)
    if pair is None:
        assert all(math.isnan(v) for v in score("fsim", flat, 1 - flat).values())
        return
    found = score("fsim", *pair)
    assert found["fsim"] == pytest.approx(float(piq.fsim(*pair, chromatic=False)), abs=0.03)
    assert found["fsimc"] < found["fsim"]


def test_one_flat_image_costs_the_mean_its_own_score_alone() -> None:
    photos = photographs(3, 64, seed=1) / 255
    outputs = photos.clone()
    outputs[1] = 0.5
    alone = score("fsim", outputs[1:2], photos[1:2])["fsim"]
    assert score("fsim", outputs, photos)["fsim"] == pytest.approx((1 + alone + 1) / 3)


def test_fsim_of_two_blank_images_is_no_number() -> None:
    blank = torch.full((1, 3, 32, 32), 0.5)
    assert all(math.isnan(v) for v in score("fsim", blank, blank).values())


# LPIPS


def save_backbone(name: str, path: Path, seed: int) -> None:
    """Write a seeded random backbone in the form of torchvision's published files."""
    random = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = getattr(torchvision.models, name)(weights=None).state_dict()
    state = {"classifier.1.bias": torch.zeros(1)}
    for key, empty in shapes.items():
        if key.startswith("features."):
            fan_in = max(1, empty[0].numel())
            state[key] = torch.randn(empty.shape, generator=random) * (2 / fan_in) ** 0.5
    torch.save(state, path)


def random_backbones(folder: Path, seed: int = 0) -> Callable[[str], Path]:
    """Return what stands in for `weights.find`."""

    def find(name: str) -> Path:
        path = folder / f"{name}-{seed}.pth"
        if not path.exists():
            save_backbone(name, path, seed)
        return path

    return find


@pytest.fixture
def backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have random backbones in place of the published ones, and nothing remembered."""
    monkeypatch.setattr(weights, "find", random_backbones(tmp_path))
    monkeypatch.setattr(memo, "shared", Memo(memo.LIMIT))
    return tmp_path


def peer(net: str) -> Any:
    """The lpips package with the same backbone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks torchvision by a name of the past
        theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    mine = torch.load(weights.find(NETS[net]), weights_only=True)
    state = theirs.net.state_dict()
    theirs.net.load_state_dict({k: mine["features." + k.partition(".")[2]] for k in state})
    return theirs


@pytest.mark.parametrize("net", NETS)
def test_lpips_is_the_lpips_packages(net: str, backbones: Path) -> None:
    """Images in [0, 1] go in as they are: `normalize=True` is not for the user to forget."""
    output, target = images(2, 64, 72)
    theirs = peer(net).double()
    with torch.no_grad():
        expected = theirs(output.double(), target.double(), normalize=True).mean().item()
    for _ in range(2):  # computed, then remembered
        found = score("lpips", output, target, nets=[net])
        assert found == pytest.approx({f"lpips_{net}": expected}, rel=1e-6)


def test_several_networks_give_one_score_each(backbones: Path) -> None:
    output, target = images(1, 40, 40)
    both = score("lpips", output, target, nets=["alex", "squeeze"])
    alone = [score("lpips", output, target, nets=[net]) for net in ("alex", "squeeze")]
    assert both == {**alone[0], **alone[1]}


def test_the_headline_is_always_among_the_values() -> None:
    told = METRIC.declaration("lpips", "test")
    for nets in told.fields["choices"]["nets"]:
        params = told.params({"nets": nets}, "suite.yaml")
        values = [f"lpips_{net}" for net in params["nets"]]
        assert len(values) == 1 or told.says.headline in values
    with pytest.raises(SuiteError, match=r"unknown nets of lpips .*'vgg', 'squeeze'"):
        told.params({"nets": ["vgg", "squeeze"]}, "suite.yaml")


def test_lpips_does_not_depend_on_the_size_of_batches(backbones: Path) -> None:
    output, target = images(5, 64, 64)
    whole = score("lpips", output, target)
    memo.shared = Memo(memo.LIMIT)
    parts = metric("lpips")
    for a, b in zip(output.split([1, 4]), target.split([1, 4]), strict=True):
        parts.add(a, b)
    assert parts.value() == pytest.approx(whole, rel=1e-12)


def test_lpips_leaves_the_generator_of_random_numbers_alone(backbones: Path) -> None:
    before = torch.random.get_rng_state()
    score("lpips", *images(1, 40, 40))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_lpips_of_another_backbone_is_not_remembered(
    backbones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, target = images(1, 40, 40)
    first = score("lpips", output, target)
    monkeypatch.setattr(weights, "find", random_backbones(backbones, seed=1))
    second = score("lpips", output, target)
    assert second["lpips_alex"] != pytest.approx(first["lpips_alex"], rel=1e-3)
    memo.shared = Memo(memo.LIMIT)
    assert score("lpips", output, target) == second


@pytest.mark.parametrize(("net", "smallest"), [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_lpips_takes_images_from_a_smallest_size(net: str, smallest: int, backbones: Path) -> None:
    assert score("lpips", *images(1, smallest, smallest + 9), nets=[net])[f"lpips_{net}"] > 0
    with pytest.raises(DataError, match=f"lpips: images of 40x{smallest - 1} px are smaller"):
        score("lpips", *images(1, smallest - 1, 40), nets=[net])


def test_lpips_without_its_weights_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("DISTILLBENCH_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"alexnet-owt-7be5be79\.pth"):
        score("lpips", *images(1, 40, 40))


# What is remembered


class Counted:
    """A function that knows how often it was called."""

    def __init__(self, factor: int = 2) -> None:
        self.factor, self.calls = factor, 0

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        return (x * self.factor,)


def test_equal_content_is_computed_once_wherever_it_lies() -> None:
    made, double, x = Memo(10**6), Counted(), torch.arange(12.0).view(3, 4)
    for same in (x, x.clone(), x.T.contiguous().T):
        assert torch.equal(made.recall(double, same)[0], 2 * x)
    assert double.calls == 1


def test_other_content_shape_type_or_function_is_never_mistaken() -> None:
    made, double, x = Memo(10**6), Counted(), torch.arange(12.0)
    changed = x.clone()
    changed[7] += 1e-6
    others = [x, changed, x.view(3, 4), x.view(torch.int32), x.flip(0), -x, x[:11], x * 0, -(x * 0)]
    for other in others:
        assert torch.equal(made.recall(double, other)[0], 2 * other)
        assert made.recall(double, other)[0].shape == other.shape
    assert double.calls == len(others)
    assert torch.equal(made.recall(Counted(3), x)[0], 3 * x)


def test_an_argument_changed_in_place_is_other_content() -> None:
    made, double, x = Memo(10**6), Counted(), torch.ones(5)
    made.recall(double, x)
    x += 1
    assert torch.equal(made.recall(double, x)[0], torch.full((5,), 4.0))


def test_what_was_not_used_for_longest_goes_first() -> None:
    made, double = Memo(limit=3 * 40), Counted()
    a, b, c, d = (torch.full((10,), float(i)) for i in range(4))
    for x in (a, b, c, a, d):  # d drives out b
        made.recall(double, x)
    assert made.size == 120
    assert double.calls == 4
    for x in (a, c, d):
        made.recall(double, x)
    assert double.calls == 4
    made.recall(double, b)
    assert double.calls == 5


def test_what_is_larger_than_the_limit_drives_nothing_out() -> None:
    made, double, small = Memo(limit=100), Counted(), torch.ones(10)
    made.recall(double, small)
    made.recall(double, torch.ones(30))
    made.recall(double, small)
    assert double.calls == 2
    assert made.size == 40


def test_a_view_counts_for_all_that_it_keeps_in_memory() -> None:
    made = Memo(10**6)
    made.recall(lambda x: (x.repeat(100)[:1],), torch.ones(10))
    assert made.size == 4000


@pytest.mark.parametrize("name", ["fsim", "lpips"])
def test_a_second_student_gets_the_same_bits_for_half_the_work(
    name: str, backbones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (output, target), (other, _) = images(3, 64, 64), images(3, 64, 64, seed=1)
    fresh = score(name, other, target)
    memo.shared = Memo(memo.LIMIT)
    first = metric(name)
    first.add(output, target)
    kept, calls = memo.shared.size, []
    if name == "lpips":
        layer = first.networks["alex"].features[0]
        layer.register_forward_hook(lambda *_: calls.append(1))
    else:
        fft = torch.fft.fft2
        monkeypatch.setattr(torch.fft, "fft2", lambda x: (calls.append(1), fft(x))[1])
    assert score(name, other, target) == fresh
    assert len(calls) == 3  # of the outputs alone
    assert memo.shared.size == kept > 0
