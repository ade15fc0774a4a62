"""Distances between sets of images against torch-fidelity, scipy and closed forms."""

from __future__ import annotations

import itertools
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import inception_weights
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from cleanfid.resize import build_resizer
from inception_weights import photographs
from prdc import compute_prdc
from pytorch_fid import inception as pytorch_fid
from torch_fidelity import feature_extractor_inceptionv3 as peer_network
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd, kid_features_to_metric

from bench.contracts.kinds import METRIC
from bench.errors import DataError, SuiteError, WeightsError
from bench.features.inception import Inception, resized
from bench.features.inception_clean import InceptionClean
from bench.features.inception_pytorch_fid import InceptionPytorchFID
from bench.features.laplacian import MOST, Laplacian, laplacian_pyramid
from bench.fetch import weights
from bench.maths import frechet
from bench.maths.bootstrap import draw
from bench.maths.frechet import frechet_distance, frechet_of_moments, moments
from bench.metrics import _neighbours
from bench.metrics import fid as fid_module
from bench.metrics.fid import FID
from bench.metrics.kid import KID
from bench.metrics.swd import DIRECTIONS, SWD, directions, quantiles

CPU = torch.device("cpu")


def torch_fidelity_fid(a: torch.Tensor, b: torch.Tensor) -> float:
    statistics = [fid_features_to_statistics(x) for x in (a, b)]
    found: dict[str, float] = fid_statistics_to_metric(*statistics, verbose=False)
    return found["frechet_inception_distance"]


def cloud(count: int, dimensions: int, seed: int) -> torch.Tensor:
    """Return correlated features with a mean, float64."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((dimensions, dimensions)) / dimensions**0.5
    return torch.from_numpy(random.standard_normal((count, dimensions)) @ mixing + 0.5)


# --- Inception -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    inception_weights.write(path, photographs(8, 128, seed=0))
    return path


@pytest.fixture
def inception(inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> Inception:
    monkeypatch.setattr(weights, "find", {"inception": inception_file}.__getitem__)
    return Inception(CPU)


def test_features_and_fid_are_those_of_torch_fidelity(
    inception: Inception, inception_file: Path
) -> None:
    peer = inception_weights.torch_fidelity(inception_file)
    sets = [photographs(6, 80, seed=1), photographs(7, 80, seed=2)]
    theirs = [peer(images)[0] for images in sets]
    ours = [inception(images / 255, 0)["pool"] for images in sets]
    for found, wanted in zip(ours, theirs, strict=True):
        assert found.shape == wanted.shape
        assert found.dtype == torch.float32
        assert float((found - wanted).abs().max() / wanted.std()) < 1e-3
        assert float((found - found.flip(0)).abs().max() / wanted.std()) > 1  # tells images apart
    found = FID({}).distance({"pool": ours[0]}, {"pool": ours[1]})["fid"]
    assert found == pytest.approx(frechet_distance(*theirs), rel=1e-4)


def test_features_do_not_depend_on_the_size_of_batches(inception: Inception) -> None:
    images = photographs(6, 64, seed=3) / 255
    whole = inception(images, 0)["pool"]
    parts = torch.cat([inception(part, 0)["pool"] for part in images.split([1, 5])])
    assert float((whole - parts).abs().max() / whole.std()) < 1e-3


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (299, 299), (400, 330)])
def test_images_are_resized_as_by_tensorflow_1(height: int, width: int) -> None:
    images = torch.randint(0, 256, (2, 3, height, width), generator=torch.manual_seed(0)).float()
    wanted = interpolate_bilinear_2d_like_tensorflow1x(images, (299, 299), align_corners=False)
    assert torch.allclose(resized(images) * 128 + 128, wanted, rtol=0, atol=1e-3)


def test_the_other_variants_of_inception_are_those_of_their_packages(
    inception: Inception, inception_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytorch-fid's features, and clean-fid's resized images; neither is torch-fidelity's."""
    images = photographs(6, 80, seed=1)
    state = torch.load(inception_file, weights_only=True)
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytorch-fid's, of torchvision
        peer = pytorch_fid.InceptionV3([3]).eval()
        peer_of_resized = pytorch_fid.InceptionV3([3], False, False).eval()
    theirs = peer(images / 255)[0][:, :, 0, 0]
    ours = InceptionPytorchFID(CPU)(images / 255, 0)["pool"]
    assert float((ours - theirs).abs().max() / theirs.std()) < 1e-3
    resize = build_resizer("clean")
    resized_images = [resize(image.permute(1, 2, 0).numpy()) for image in images]
    pixels = torch.from_numpy(np.stack(resized_images)).permute(0, 3, 1, 2)
    with torch.no_grad():
        theirs_clean = peer_of_resized((pixels - 128) / 128)[0][:, :, 0, 0]
    clean = InceptionClean(CPU)(images / 255, 0)["pool"]
    assert float((clean - theirs_clean).abs().max() / theirs_clean.std()) < 1e-3
    for other in (ours, clean):
        assert float((inception(images / 255, 0)["pool"] - other).abs().max() / theirs.std()) > 0.1


def test_without_the_published_weights_there_are_no_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"6726825d\.pth: missing"):
        Inception(CPU)


# --- Frechet distance ------------------------------------------------------------------------


def test_frechet_distance_of_given_gaussians() -> None:
    """Reference values computed with 50 digits."""
    random = np.random.default_rng(42)
    x = random.standard_normal((10, 16))
    y = random.standard_normal((12, 16)) * 1.5 + 0.25
    p, q = random.standard_normal((2, 8, 8))
    m1, m2 = random.standard_normal((2, 8))
    zero, one = np.zeros(4), np.eye(4)
    assert frechet_of_moments(zero, one, zero, one) == pytest.approx(0, abs=1e-12)
    shift = np.array([1.0, 2.0, 3.0, 4.0])
    assert frechet_of_moments(shift, one, zero, one) == pytest.approx(30, rel=1e-12)
    squares = np.diag([1.0, 4.0, 9.0, 16.0])
    assert frechet_of_moments(zero, squares, zero, 4 * one) == pytest.approx(6, rel=1e-12)
    found = frechet_of_moments(m1, p @ p.T, m2, q @ q.T)
    assert found == pytest.approx(29.1288249769169, rel=1e-12)
    found = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert found == pytest.approx(30.8393646533461, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(300, 400), (30, 400), (400, 30), (30, 20)])
def test_frechet_distance_to_a_scaled_copy(n: int, m: int) -> None:
    """Covariances S and s^2 S have a known root, whatever the rank."""
    a = cloud(n, 64, seed=1)
    b = a * 1.5
    mean, cov = a.numpy().mean(0), np.cov(a.numpy(), rowvar=False)
    wanted = 0.25 * (np.square(mean).sum() + np.trace(cov))
    assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-11)
    other = cloud(m, 64, seed=2)
    assert frechet_distance(a, other) == pytest.approx(frechet_distance(other, a), rel=1e-9)


def test_frechet_distance_of_full_rank_is_torch_fidelitys() -> None:
    a, b = cloud(500, 64, seed=1), cloud(400, 64, seed=2)
    assert frechet_distance(a, b) == pytest.approx(torch_fidelity_fid(a, b), rel=1e-9)


def test_frechet_distance_of_few_images_is_torch_fidelitys_up_to_its_error() -> None:
    a, b = cloud(60, 256, seed=1), cloud(50, 256, seed=2)
    assert frechet_distance(a, b) == pytest.approx(torch_fidelity_fid(a, b), rel=1e-5)


def test_frechet_distance_of_singular_covariances_of_large_sets() -> None:
    """Features that never fire: the others alone count."""
    a, b = cloud(500, 32, seed=1), cloud(400, 32, seed=2)
    dead = [torch.cat([x, torch.zeros(len(x), 8)], 1) for x in (a, b)]
    assert frechet_distance(*dead) == pytest.approx(frechet_distance(a, b), rel=1e-7)
    mixed = frechet_distance(dead[0], dead[1][:20])
    assert mixed == pytest.approx(frechet_distance(a, b[:20]), rel=1e-7)


def test_moments_are_exact_over_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "CHUNK", 7)
    features = (cloud(100, 16, seed=1) + 1e4).float()
    mean, cov = moments(features)
    assert np.allclose(mean, features.double().mean(0), rtol=1e-12)
    assert np.allclose(cov, np.cov(features.double().numpy(), rowvar=False), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("counts", [(1, 5), (5, 1), (0, 5)])
def test_one_image_has_no_covariance(counts: tuple[int, int]) -> None:
    a, b = (torch.rand(n, 4) for n in counts)
    with pytest.raises(DataError, match=rf"a set of {min(counts)} image"):
        FID({}).distance({"pool": a}, {"pool": b})


def test_few_images_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    fid_module._warn_of_few_images.cache_clear()
    many, few = {"pool": torch.rand(8, 4)}, {"pool": torch.rand(3, 4)}
    with caplog.at_level(logging.WARNING):
        FID({}).distance(many, many)
        assert not caplog.records
        for _ in range(2):
            FID({}).distance(few, many)
    (record,) = caplog.records
    assert "fewer images than features" in record.message


# --- KID -------------------------------------------------------------------------------------


def kid(a: torch.Tensor, b: torch.Tensor, **params: int) -> dict[str, float]:
    return KID({**KID.defaults, **params}).distance({"pool": a}, {"pool": b})


def test_kid_of_whole_sets_is_torch_fidelitys() -> None:
    a, b = cloud(60, 32, seed=1), cloud(60, 32, seed=2)
    peer: Any = kid_features_to_metric(a, b, kid_subset_size=60, kid_subsets=1, verbose=False)
    found = kid(a, b)  # fewer images than `subset_size`: all of them, once
    assert found["kid"] == pytest.approx(peer["kernel_inception_distance_mean"], rel=1e-9)
    assert found["kid_std"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("subset_size", [7, 30])  # one pass per subset; one pass over all pairs
def test_kid_over_subsets_is_the_mean_and_spread_of_torch_fidelitys_estimates(
    subset_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = cloud(60, 32, seed=1), cloud(50, 32, seed=2)
    drawn = []
    choice = np.random.default_rng

    class Recorded:
        def __init__(self, seed: int) -> None:
            self.random = choice(seed)

        def choice(self, *args: Any, **kwargs: Any) -> Any:
            drawn.append(self.random.choice(*args, **kwargs))
            return drawn[-1]

    monkeypatch.setattr(np.random, "default_rng", Recorded)
    found = kid(a, b, subset_size=subset_size, subsets=10)
    assert all(len(set(d.tolist())) == subset_size for d in drawn)
    estimates = [
        kernel_mmd(a.numpy()[i], b.numpy()[j]) for i, j in zip(drawn[:10], drawn[10:], strict=True)
    ]
    assert found["kid"] == pytest.approx(np.mean(estimates), rel=1e-9)
    assert found["kid_std"] == pytest.approx(np.std(estimates), rel=1e-9)
    assert found["kid_std"] > 0


def test_kid_repeats_and_is_unbiased() -> None:
    """Two samples of one distribution: zero within the error of the mean, at 20 images."""
    a, b = cloud(60, 32, seed=1), cloud(50, 32, seed=2)
    assert kid(a, b, subset_size=20) == kid(a, b, subset_size=20)
    random = np.random.default_rng(0)
    samples = torch.from_numpy(random.standard_normal((200, 2, 20, 16)))
    found = np.array([kid(x, y, subsets=1)["kid"] for x, y in samples])
    assert abs(found.mean()) < 3 * found.std() / len(found) ** 0.5
    assert (found < 0).any()


def test_kid_needs_two_images_of_each_set() -> None:
    with pytest.raises(DataError, match="kid: subsets of 1 image"):
        kid(torch.rand(1, 4), torch.rand(9, 4))


# --- SWD -------------------------------------------------------------------------------------


def patches(images: torch.Tensor) -> dict[str, torch.Tensor]:
    return Laplacian(CPU)(images, 0)


def swd(a: torch.Tensor, b: torch.Tensor) -> dict[str, float]:
    return SWD({}).distance(patches(a), patches(b))


def reference_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """Laplacian pyramid of one channel by scipy's filters, in float64."""
    row = np.array([1, 4, 6, 4, 1]) / 16
    kernel, found = np.outer(row, row), []
    for _ in range(levels - 1):
        low = scipy.ndimage.convolve(image, kernel, mode="mirror")[::2, ::2]
        up = np.zeros_like(image)
        up[::2, ::2] = low
        found.append(image - 4 * scipy.ndimage.convolve(up, kernel, mode="mirror"))
        image = low
    return [*found, image]


def reference_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Normalise each channel, project, and leave the 1-D distances to scipy."""
    flat = []
    for x in (a.astype(float), b.astype(float)):
        for c in range(3):
            x[:, :, c] = (x[:, :, c] - x[:, :, c].mean()) / x[:, :, c].std()
        flat.append(x.reshape(-1, 147))
    drawn = directions(147).double().numpy()
    along = [scipy.stats.wasserstein_distance(*(x @ d for x in flat)) for d in drawn]
    return float(1000 * np.mean(along))


def test_laplacian_pyramid_is_that_of_scipys_filters() -> None:
    images = photographs(2, 64, seed=1) / 255
    levels = laplacian_pyramid(images)
    assert [level.shape[2] for level in levels] == [64, 32, 16]
    for i, c in itertools.product(range(2), range(3)):
        for found, wanted in zip(
            levels, reference_pyramid(images[i, c].double().numpy(), 3), strict=True
        ):
            assert np.allclose(found[i, c], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "levels"),
    [(16, 16, ["16"]), (31, 31, ["31"]), (48, 48, ["48", "24"]), (128, 64, ["128", "64", "32"])],
)
def test_levels_are_halved_down_to_16_px(height: int, width: int, levels: list[str]) -> None:
    found = patches(torch.rand(2, 3, height, width))
    assert list(found) == levels
    assert {f.shape for f in found.values()} == {(2, 128, 3, 49)}


def test_patches_are_windows_anywhere_in_the_image() -> None:
    """Each pixel is its own number, so a patch says where it was cut."""
    side = 17  # odd: one level, the image itself
    numbers = torch.arange(3.0 * side * side).view(1, 3, side, side).expand(40, -1, -1, -1)
    (found,) = patches(numbers).values()
    corners = found[..., 0, 0].long()
    y, x = corners // side, corners % side
    within = (torch.arange(7)[:, None] * side + torch.arange(7)).flatten()
    wanted = corners[:, :, None, None] + torch.arange(3)[:, None] * side * side + within
    assert torch.equal(found.long(), wanted)
    for corner in (y, x):
        assert sorted(corner.unique().tolist()) == list(range(side - 6))
    assert len(torch.stack([y, x], -1)[:, 0].unique(dim=0)) > 20  # another place in each image


def test_patches_depend_on_the_place_in_the_set_and_not_on_batches() -> None:
    images = torch.rand(5, 3, 32, 32, generator=torch.manual_seed(0))
    whole = patches(images)
    parts = [Laplacian(CPU)(images[:2], 0), Laplacian(CPU)(images[2:], 2)]
    for level, found in whole.items():
        assert torch.equal(found, torch.cat([part[level] for part in parts]))


def test_images_past_the_limit_give_no_rows() -> None:
    found = Laplacian(CPU)(torch.rand(4, 3, 32, 32), MOST - 1)
    assert {level: len(rows) for level, rows in found.items()} == {"32": 1, "16": 1}
    assert len(Laplacian(CPU)(torch.rand(4, 3, 32, 32), MOST + 4)["32"]) == 0


def test_an_image_too_small_for_a_level_is_refused() -> None:
    with pytest.raises(DataError, match="images of 15 x 20 px"):
        patches(torch.rand(1, 3, 15, 20))


@pytest.mark.parametrize(("n", "m"), [(3, 3), (3, 2)])
def test_swd_is_the_mean_of_scipys_distances_along_its_directions(n: int, m: int) -> None:
    a, b = photographs(n, 32, seed=1) / 255, (photographs(m, 32, seed=2) / 255).square()
    found = swd(a, b)
    of_a, of_b = patches(a), patches(b)
    for level in ("32", "16"):
        wanted = reference_distance(of_a[level].numpy(), of_b[level].numpy())
        assert found[f"swd_{level}"] == pytest.approx(wanted, rel=1e-5)
    assert found["swd"] == pytest.approx((found["swd_32"] + found["swd_16"]) / 2, rel=1e-12)


def test_swd_sorts_the_real_images_once_and_scores_each_student_as_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, *students = (
        torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(4)
    )
    sorts: list[int] = []
    sort = np.sort
    monkeypatch.setattr(np, "sort", lambda *given, **how: sorts.append(1) or sort(*given, **how))
    found = [swd(student, real) for student in students]
    often = len(sorts)
    monkeypatch.setattr("bench.metrics.swd.KEPT", 0)
    assert found == [swd(student, real) for student in students]
    assert often == (len(sorts) - often) * 4 / 6  # three students and one set, not three


def test_swd_does_not_depend_on_the_order_in_which_levels_were_kept() -> None:
    """Features of real images are in another order once they come from a file."""
    a, b = (
        Laplacian(torch.device("cpu"))(
            torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(n)), 0
        )
        for n in (0, 1)
    )
    turned = dict(reversed(b.items()))
    draws = draw(3, 3, paired=False)
    one, other = (SWD({}).distance(a, real) for real in (b, turned))
    assert list(one.items()) == list(other.items())
    one, other = (SWD({}).resampled(a, real, draws) for real in (b, turned))
    assert list(one) == list(other)
    assert all((one[name] == other[name]).all() for name in one)


def test_swd_of_patches_that_are_flat() -> None:
    """Values -1, 1 against -sqrt 2, 0, 0, sqrt 2: distance sqrt 2 / 2 along the diagonal."""
    a, b = (
        torch.tensor(values).view(2, 2, 1, 1).expand(2, 2, 3, 49)
        for values in ([-1.0, 1.0, 1.0, -1.0], [0.0, 2**0.5, -(2**0.5), 0.0])
    )
    found = SWD({}).distance({"16": a}, {"16": b})["swd"]
    along = directions(147).sum(1).abs().mean().item()
    assert found == pytest.approx(1000 * math.sqrt(0.5) * along, rel=1e-5)
    expected = 147**0.5 * math.exp(math.lgamma(73.5) - math.lgamma(74)) / math.pi**0.5
    assert along == pytest.approx(expected, abs=4 / DIRECTIONS**0.5)  # uniform on the sphere


def test_swd_sees_detail_and_neither_brightness_nor_contrast() -> None:
    images = photographs(8, 64, seed=1) / 255
    assert swd(images, images) == dict.fromkeys(["swd_64", "swd_32", "swd_16", "swd"], 0.0)
    shifted = images * 0.5 + torch.tensor([0.25, 0.0, 0.5]).view(3, 1, 1)
    assert swd(images, shifted)["swd"] < 0.05
    noisy = images + 0.1 * torch.randn(images.shape, generator=torch.manual_seed(0))
    found = swd(images, noisy)
    assert found["swd_64"] > 3 * found["swd_16"] > 0
    assert found["swd_64"] > 50


def test_swd_of_a_channel_without_contrast_is_no_number() -> None:
    images = torch.rand(2, 3, 16, 16)
    flat = images.clone()
    flat[:, 1] = 0.3
    assert math.isnan(swd(flat, images)["swd"])


@pytest.mark.parametrize(("n", "m"), [(4, 4), (4, 6), (5, 3), (1, 7)])
def test_quantile_pieces_give_scipys_wasserstein_distance(n: int, m: int) -> None:
    random = np.random.default_rng(0)
    a, b = np.sort(random.standard_normal(n)), np.sort(random.standard_normal(m))
    in_a, in_b, mass = quantiles(n, m)
    assert mass.sum() == pytest.approx(1, rel=1e-12)
    assert len(mass) <= n + m - 1
    found = float(np.abs(a[in_a] - b[in_b]) @ mass)
    assert found == pytest.approx(scipy.stats.wasserstein_distance(a, b), rel=1e-12)


# --- Inception Score -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "splits"), [(40, 10), (37, 10), (23, 4), (10, 1)])
def test_the_inception_score_is_torch_fidelitys(count: int, splits: int) -> None:
    logits = (4 * cloud(count, 50, seed=3)).float()
    theirs = isc_features_to_metric(logits, splits=splits)
    ours = fraction("inception_score", splits=splits).distance({"logits": logits}, {})
    assert ours == pytest.approx(
        {
            "inception_score": theirs["inception_score_mean"],
            "inception_score_std": theirs["inception_score_std"],
        }
    )
    with pytest.raises(DataError, match=f"{count} outputs cannot be cut into {count + 1} parts"):
        fraction("inception_score", splits=count + 1).distance({"logits": logits}, {})


def test_logits_are_torch_fidelitys_without_bias(
    inception: Inception, inception_file: Path
) -> None:
    images = photographs(5, 80, seed=1)
    peer = peer_network.FeatureExtractorInceptionV3(
        "peer", ["logits_unbiased"], feature_extractor_weights_path=str(inception_file)
    )
    wanted = peer(images)[0]
    found = inception(images / 255, 0)["logits"]
    assert found.shape == (5, 1008)
    assert float((found - wanted).abs().max() / wanted.std()) < 1e-3


# --- precision, recall, density, coverage ------------------------------------------------------

FRACTIONS = ("precision", "recall", "density", "coverage")


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(70, 70), (1500, 40), (33, 1200)])
def test_fractions_are_those_of_prdc(n: int, m: int, k: int) -> None:
    """Also where a set takes several chunks, and on float32 features as extractors give them."""
    outputs = (0.7 * cloud(n, 12, seed=1) + 0.2).float()
    real = cloud(m, 12, seed=1)[torch.randperm(m, generator=torch.manual_seed(0))].float()
    theirs = compute_prdc(real.double().numpy(), outputs.double().numpy(), nearest_k=k)
    ours = {
        name: fraction(name, neighbours=k).distance({"pool": outputs}, {"pool": real})[name]
        for name in FRACTIONS
    }
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert len(set(ours.values())) > 1


def fraction(name: str, **given: Any) -> Any:
    params = METRIC.declaration(name, "test").params(given, "test")
    return METRIC.load(name, "test")(params)


def test_the_four_fractions_share_their_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    apart = _neighbours._apart
    monkeypatch.setattr(_neighbours, "_apart", lambda *given: asked.append(1) or apart(*given))
    sets = {"pool": cloud(20, 4, seed=0)}, {"pool": cloud(20, 4, seed=1)}
    for name in FRACTIONS:
        fraction(name).distance(*sets)
    assert len(asked) == 3  # real among real, outputs among outputs, and across


def test_fractions_need_more_images_than_neighbours() -> None:
    few, many = {"pool": cloud(5, 3, seed=0)}, {"pool": cloud(20, 3, seed=0)}
    with pytest.raises(DataError, match="recall: the 5 nearest others of 5 images do not exist"):
        fraction("recall").distance(few, many)
    with pytest.raises(SuiteError, match="density: neighbours: should be at least 1: 0"):
        fraction("density", neighbours=0)
