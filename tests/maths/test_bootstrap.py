"""Sampling errors over images: closed forms, and resamples one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from bench.contracts.metric import Features
from bench.features.laplacian import Laplacian
from bench.maths import frechet
from bench.maths.bootstrap import RESAMPLES, Draws, draw, error_of_mean, error_of_resamples
from bench.maths.frechet import frechet_of_moments, influences, resampled_distances
from bench.metrics import swd
from bench.metrics.fid import FID
from bench.metrics.kid import KID
from bench.metrics.spectrum import Spectrum
from bench.metrics.swd import SWD, slopes


def test_the_error_of_a_mean_is_the_closed_form() -> None:
    assert error_of_mean(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((5 / 3) ** 0.5 / 2)
    assert np.isnan(error_of_mean(np.array([1.0])))


def test_resamples_are_always_the_same_and_hold_as_many_images_as_there_are() -> None:
    one, again = draw(30, 20), draw(30, 20)
    assert one.outputs.shape == (RESAMPLES, 30)
    assert one.real.shape == (RESAMPLES, 20)
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert (one.outputs.sum(1) == 30).all()
    assert (one.real.sum(1) == 20).all()
    # (1 - 1 / n)^n of the images are not in a resample
    assert (one.outputs == 0).mean() == pytest.approx((1 - 1 / 30) ** 30, abs=0.02)


def test_pairs_are_drawn_together_and_sets_apart() -> None:
    together, apart = draw(30, 30, paired=True), draw(30, 30)
    assert (together.outputs == together.real).all()
    assert (apart.outputs != apart.real).any(1).all()
    assert (draw(30, 0).real.shape) == (RESAMPLES, 0)


def test_the_bootstrap_of_a_mean_is_its_standard_error() -> None:
    """Within what 200 resamples leave open, 5 %; the plug-in variance divides by n."""
    values = np.random.default_rng(0).gamma(2.0, size=80)
    resampled = draw(80, 0).outputs / 80 @ values
    expected = error_of_mean(values) * (79 / 80) ** 0.5
    assert error_of_resamples(resampled) == pytest.approx(expected, rel=0.15)


def cloud(n: int, dimensions: int, seed: int, shift: float = 0.0) -> Tensor:
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((dimensions, dimensions)) / dimensions**0.5
    return torch.from_numpy(random.standard_normal((n, dimensions)) @ mixing + shift).float()


def repeated(x: Tensor, counts: np.ndarray) -> Tensor:
    return x[torch.from_numpy(np.repeat(np.arange(len(x)), counts))]


def by_matrix_root(a: Tensor, b: Tensor) -> float:
    """As other implementations compute it: the square root of a product of covariances."""
    x, y = a.double().numpy(), b.double().numpy()
    cov_x, cov_y = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    values = scipy.linalg.eigvals(cov_x @ cov_y)  # tr sqrt = sum of their roots
    common = np.sqrt(values.real.clip(0)).sum()
    shift = np.square(x.mean(0) - y.mean(0)).sum()
    return float(shift + np.trace(cov_x) + np.trace(cov_y) - 2 * common)


@pytest.mark.parametrize(
    ("n", "m", "dimensions", "paired", "accuracy"),
    [
        (40, 30, 6, False, 1e-9),  # more images than features, even without those left out
        (40, 40, 6, True, 1e-9),
        (12, 15, 40, False, 1e-6),  # fewer: half of the peer's digits are lost
        (12, 12, 40, True, 1e-6),
        (2, 3, 5, False, 1e-6),  # resamples of one image have no covariance
    ],
)
def test_resampled_fids_are_those_of_repeated_features(
    n: int, m: int, dimensions: int, paired: bool, accuracy: float
) -> None:
    a, b = cloud(n, dimensions, 1, 0.3), cloud(m, dimensions, 2)
    draws = draw(n, m, paired=paired)
    found = FID({}).resampled({"pool": a}, {"pool": b}, draws)["fid"]
    rows = list(zip(draws.outputs, draws.real, strict=True))[:50]
    wanted = [by_matrix_root(repeated(a, i), repeated(b, j)) for i, j in rows]
    assert found[:50] == pytest.approx(wanted, rel=accuracy)
    own = [frechet.frechet_distance(repeated(a, i), repeated(b, j)) for i, j in rows]
    assert found[:50] == pytest.approx(own, rel=1e-10)


def test_the_slopes_of_fid_are_those_of_weighted_moments() -> None:
    """By finite differences, where covariances have full rank."""
    a, b = cloud(40, 5, 1, 0.3), cloud(30, 5, 2)
    of_a, of_b = influences(a, b)
    assert abs(of_a.mean()) < 1e-12
    assert abs(of_b.mean()) < 1e-12

    def moments(x: Tensor, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = x.double().numpy()
        centred = points - (mean := weights @ points)
        return mean, (centred * weights[:, None]).T @ centred / (1 - 1 / len(x))

    def moved(x: Tensor, place: int, step: float) -> np.ndarray:
        weights = np.full(len(x), (1 - step) / len(x))
        weights[place] += step
        return weights

    for place, side in ((3, 0), (7, 1)):
        found = []
        for step in (1e-5, -1e-5):
            steps = [step, 0.0] if side == 0 else [0.0, step]
            sides = [moments(x, moved(x, place, s)) for x, s in zip((a, b), steps, strict=True)]
            found.append(frechet_of_moments(*sides[0], *sides[1]))
        assert (of_a, of_b)[side][place] == pytest.approx((found[0] - found[1]) / 2e-5, rel=1e-6)


def test_large_sets_have_the_error_of_exact_resamples_to_first_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With far more images than features, where resamples are close to the whole."""
    a, b = cloud(200, 8, 1, 0.3), cloud(200, 8, 2)
    draws = draw(200, 200)
    exact = resampled_distances(a, b, draws)
    monkeypatch.setattr(frechet, "EXACT", 199)
    linear = resampled_distances(a, b, draws)
    assert error_of_resamples(linear) == pytest.approx(error_of_resamples(exact), rel=0.1)
    assert np.corrcoef(linear, exact)[0, 1] > 0.95


def test_to_first_order_it_is_the_spread_of_other_samples_with_more_features_than_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where resamples, which lack a third of the images, spread further than samples do."""
    random, mixing = np.random.default_rng(0), cloud(100, 100, 1).numpy() / 10

    def sample() -> tuple[Tensor, Tensor]:
        a, b = random.standard_normal((2, 50, 100))
        return torch.from_numpy(a @ mixing + 0.3), torch.from_numpy(b)

    spread = np.std([frechet.frechet_distance(*sample()) for _ in range(200)], ddof=1)
    draws, pairs = draw(50, 50), [sample() for _ in range(5)]
    exact = np.mean([error_of_resamples(resampled_distances(*x, draws)) for x in pairs])
    monkeypatch.setattr(frechet, "EXACT", 49)
    linear = np.mean([error_of_resamples(resampled_distances(*x, draws)) for x in pairs])
    assert linear == pytest.approx(spread, rel=0.25)
    assert exact > spread


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def test_resampled_kids_leave_out_pairs_of_one_image_with_itself() -> None:
    a, b = cloud(7, 4, 1, 0.3), cloud(6, 4, 2)
    draws = Draws(*(x[:6] for x in draw(7, 6)))
    found = KID(KID.defaults).resampled({"pool": a}, {"pool": b}, draws)["kid"]
    for resample, (of_a, of_b) in enumerate(zip(*draws, strict=True)):
        value = 0.0
        for x, counts in ((a, of_a), (b, of_b)):
            images = np.repeat(np.arange(len(x)), counts)
            rows = x.double().numpy()
            pairs = [kernel(rows[i], rows[j]) for i in images for j in images if i != j]
            value += float(np.mean(pairs))
        x, y = repeated(a, of_a).double().numpy(), repeated(b, of_b).double().numpy()
        value -= 2 * float(np.mean([kernel(i, j) for i in x for j in y]))
        assert found[resample] == pytest.approx(value, rel=1e-10)


def test_a_resample_of_one_image_has_no_kid_and_warns_of_nothing() -> None:
    draws = Draws(np.array([[2, 0]]), np.array([[1, 1]]))
    a, b = cloud(2, 4, 1), cloud(2, 4, 2)
    assert np.isnan(KID(KID.defaults).resampled({"pool": a}, {"pool": b}, draws)["kid"])


def test_resampled_spectra_are_those_of_repeated_images() -> None:
    a, b = ({"power": cloud(9, 5, seed).square() + 0.01} for seed in (1, 2))
    draws = draw(9, 9, paired=True)
    found = Spectrum({}).resampled(a, b, draws)["spectrum"]
    for value, of_a, of_b in zip(found, *draws, strict=True):
        sides = ({"power": repeated(x["power"], n)} for x, n in ((a, of_a), (b, of_b)))
        assert value == pytest.approx(Spectrum({}).distance(*sides)["spectrum"], rel=1e-6)


def patches(blur: bool) -> Features:
    """Descriptors of 24 images of 32 px that differ in contrast, colour and grain."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(24, 3, 8, 8, generator=random) * torch.rand(24, 3, 1, 1, generator=random)
    images = torch.nn.functional.interpolate(images, (32, 32), mode="bilinear")
    grain = torch.rand(24, 1, 1, 1, generator=random) * torch.rand(images.shape, generator=random)
    return Laplacian(torch.device("cpu"))(images if blur else images + grain / 2, 0)


def test_resampled_swds_follow_those_of_repeated_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """To first order, along the same directions: the same ups and downs, and the same error."""
    monkeypatch.setattr(swd, "DIRECTIONS", swd.OF_ERROR)
    made, real = patches(True), patches(False)
    draws = Draws(*(x[:30] for x in draw(24, 24, paired=True)))
    found = SWD({}).resampled(made, real, draws)
    wanted = [
        SWD({}).distance(
            {level: repeated(x, i) for level, x in made.items()},
            {level: repeated(x, j) for level, x in real.items()},
        )
        for i, j in zip(*draws, strict=True)
    ]
    for name, values in found.items():
        one_by_one = np.array([w[name] for w in wanted])
        assert np.corrcoef(values, one_by_one)[0, 1] > 0.8, name
        assert error_of_resamples(values) == pytest.approx(
            error_of_resamples(one_by_one), rel=0.2
        ), name


def test_the_slopes_of_swd_are_those_of_more_copies_of_an_image() -> None:
    """Each image 400 times, one of them once more: a small step of its weight.

    48 and 35 patches have no fraction in common, so no two steps of their distributions cancel.
    """
    made, real = patches(True)["16"][:6, :8], patches(False)["16"][:5, :7]
    copies = 400

    def value(extra: int | None) -> float:
        counts = np.full(6, copies)
        if extra is not None:
            counts[extra] += 1
        return slopes(repeated(made, counts), real)[0]

    whole, of_made, _ = slopes(made, real)
    assert value(None) == pytest.approx(whole, rel=1e-5)
    step = 1 / (6 * copies + 1)
    for place in (0, 4):
        assert (value(place) - whole) / step == pytest.approx(of_made[place], rel=0.05, abs=2e-3)


@pytest.mark.parametrize("make", [lambda: FID({}), lambda: KID(KID.defaults)])
def test_two_methods_see_the_same_resamples(make: Callable[[], FID | KID]) -> None:
    """So the error of a difference of two alike is far below that of either."""
    real = cloud(60, 20, 2)
    one = cloud(60, 20, 1, 0.3)
    other = one + 0.02 * cloud(60, 20, 3)
    draws = draw(60, 60)
    found = [
        next(iter(make().resampled({"pool": x}, {"pool": real}, draws).values()))
        for x in (one, other)
    ]
    assert error_of_resamples(found[0] - found[1]) < 0.2 * error_of_resamples(found[0])
