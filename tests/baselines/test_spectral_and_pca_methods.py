"""PCA-KD and Spectral Diffusion as ports, their maths, and the facts that a method reports."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from sklearn.decomposition import PCA
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench.contracts.distiller import Distiller, Layout, Trace
from bench.contracts.kinds import METHOD
from bench.errors import DataError, Interrupted, SuiteError
from bench.maths.fourier import STEEPEST, spectral_weight, weighted_power, whole_mean
from bench.maths.pca import Covariance, eigenbasis, learned_basis, residual
from bench.report.rows import entry_rows
from bench.store.layout import Store

ROLES = ("down", "mid1", "mid2", "up")


def distiller(name: str, student: int, teacher: int, side: int = 6, **given: Any) -> Distiller:
    """Return a method built for hints of so many channels."""
    method = METHOD.load(name, name)(METHOD.declaration(name, "test").params(given, "test"))
    shapes = [dict.fromkeys(ROLES, (c, side, side)) for c in (student, teacher)]
    method.build(*(Layout(hints, 16, 6) for hints in shapes))
    return method.double()


def trace(output: torch.Tensor, hints: dict[str, torch.Tensor], real: torch.Tensor) -> Trace:
    return Trace(real, output, hints, real, True, None)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def mixed(images: int, channels: int, seed: int = 0) -> torch.Tensor:
    """Return correlated feature maps of differing contrast, off centre: [N, C, 6, 6]."""
    maps = random(images, channels, 6, 6, seed=seed)
    mixing = random(channels, channels, seed=seed + 1) * torch.linspace(2, 0.2, channels)
    contrast = torch.linspace(0.5, 2, images).reshape(-1, 1, 1, 1)
    return contrast * torch.einsum("cd,ndhw->nchw", mixing, maps) + 7


def rows_of(maps: torch.Tensor) -> np.ndarray[Any, Any]:
    """Return every pixel of maps that are centred per image, [N H W, C]."""
    x = maps.numpy()
    return (x - x.mean((2, 3), keepdims=True)).transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def covariance_of(maps: torch.Tensor) -> torch.Tensor:
    seen = Covariance()
    seen.add(maps)
    return seen.mean()


def prepared(method: Distiller, maps: torch.Tensor) -> None:
    """Show a method the hints that a teacher makes of two batches."""
    side: Any = SimpleNamespace(generator=lambda batch, hints: (None, dict.fromkeys(hints, batch)))
    with torch.no_grad():
        method.prepare(side, side, [(part,) for part in maps.split((len(maps) + 1) // 2)])


# principal components


def test_components_and_their_shares_are_those_of_sklearn() -> None:
    maps = mixed(5, 8)
    seen = Covariance()
    seen.add(maps[:3])
    seen.add(maps[3:])
    expected = PCA().fit(rows_of(maps))
    basis = eigenbasis(seen.mean(), 3)
    turned = basis.numpy() * np.sign((basis.numpy() * expected.components_[:3].T).sum(0))
    np.testing.assert_allclose(turned, expected.components_[:3].T, atol=1e-10)
    kept = 1 - residual(seen.mean(), basis) / seen.mean().trace()
    assert kept.item() == pytest.approx(expected.explained_variance_ratio_[:3].sum())


def test_the_sign_of_a_component_does_not_depend_on_the_solver() -> None:
    basis = eigenbasis(covariance_of(mixed(3, 6)), 6)
    largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


def test_explained_variance_is_a_mean_over_images_whatever_their_contrast() -> None:
    """A pooled covariance would give the first direction 99 % of all."""
    maps = torch.zeros(3, 2, 2, 2)
    maps[0, 0] = torch.tensor([[10.0, -10.0], [10.0, -10.0]])
    maps[1, 1] = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    maps[2] += 5  # constant over space: it has no share
    seen = Covariance()
    seen.add(maps)
    assert seen.explained(torch.eye(2, dtype=torch.float64)).tolist() == [0.5, 0.5]
    assert seen.mean().diagonal().tolist() == pytest.approx([100 / 3, 1 / 3])


def test_residual_is_the_squared_error_of_the_reconstruction() -> None:
    maps, basis = mixed(4, 5), random(5, 2, seed=9)
    x, w = rows_of(maps), basis.numpy()
    expected = np.square(x @ w @ w.T - x).mean()
    assert residual(covariance_of(maps), basis).item() / 5 == pytest.approx(expected)


def test_gradient_descent_finds_the_space_of_the_eigenvectors() -> None:
    values = torch.tensor([9.0, 6.0, 0.5, 0.3, 0.2, 0.1], dtype=torch.float64)
    turn = torch.linalg.qr(random(6, 6)).Q
    covariance = turn @ values.diag() @ turn.T
    torch.manual_seed(0)
    learned = learned_basis(covariance, 2, steps=400, lr=3e-2)
    cosines = torch.linalg.svdvals(eigenbasis(covariance, 2).T @ learned)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)
    np.testing.assert_allclose(learned.T @ learned, np.eye(2), atol=1e-3)
    assert residual(covariance, learned).item() == pytest.approx(1.1, rel=1e-3)


def test_the_soft_penalty_alone_makes_a_basis_orthonormal() -> None:
    torch.manual_seed(0)
    learned = learned_basis(torch.zeros(4, 4).double(), 2, steps=400, lr=3e-2)
    np.testing.assert_allclose(learned.T @ learned, np.eye(2), atol=1e-3)


# PCA-KD


def test_pca_kd_is_equation_6_over_the_hints_and_the_squared_difference_of_images() -> None:
    theirs, mine = mixed(2, 6), random(2, 2, 6, 6, seed=5)
    method = distiller("pca_kd", 2, 6, weight=3.0, image_weight=2.0)
    prepared(method, mixed(4, 6, seed=3))
    student = trace(random(2, 3, 16, 16), dict.fromkeys(ROLES, mine), random(2, 3, 16, 16))
    teacher = trace(student.output + 0.5, dict.fromkeys(ROLES, theirs), student.real)
    found = method.terms(student, teacher)
    basis = method.get_buffer("basis_mid1").numpy()
    expected = np.square(rows_of(mine) @ basis.T - rows_of(theirs)).mean()
    assert found["hints"].item() == pytest.approx(3 * 4 * expected)
    assert found["image"].item() == pytest.approx(2 * 0.25)


def test_pca_kd_asks_the_student_for_the_teachers_first_components() -> None:
    """At them the loss is the variance of the others, and at equal width it is zero."""
    maps = mixed(4, 6)
    for width, lost in ((2, PCA().fit(rows_of(maps)).explained_variance_[2:].sum()), (6, 0.0)):
        method = distiller("pca_kd", width, 6)
        prepared(method, maps)
        basis = method.get_buffer("basis_up")
        mine = torch.einsum("ck,nchw->nkhw", basis, maps) + 3
        image = torch.zeros(4, 3, 16, 16)
        hints = [dict.fromkeys(ROLES, x) for x in (mine, maps)]
        found = method.terms(*(trace(image, h, image) for h in hints))["hints"].item()
        freedom = 1 - 1 / (4 * 36)  # sklearn's variances are unbiased
        assert found == pytest.approx(4 * lost * freedom / 6, rel=1e-5, abs=1e-10)


def test_facts_of_pca_kd_are_its_curves_and_how_many_channels_are_enough() -> None:
    patterns = torch.from_numpy(hadamard(64)[1:5].reshape(4, 8, 8))  # orthogonal, mean 0, square 1
    sizes = torch.tensor([8.0, 4.0, 2.0, 1.0]).reshape(4, 1, 1)
    method = distiller("pca_kd", 2, 4, side=8)
    prepared(method, (sizes * patterns).expand(2, 4, 8, 8))
    facts = method.facts()["down"]
    shares = [64 / 85, 16 / 85, 4 / 85, 1 / 85]
    assert facts["mev"] == pytest.approx(shares, abs=1e-6)
    assert facts["mcev"] == pytest.approx(np.cumsum(shares), abs=1e-6)
    assert facts["channels_85"] == 2  # 0.753, 0.941
    assert facts["kept"] == pytest.approx(80 / 85, abs=1e-6)
    json.dumps(method.facts())


@pytest.mark.parametrize(
    ("student", "teacher", "side"), [(8, 4, 6), (2, 4, 1)], ids=["wider", "one pixel"]
)
def test_pca_kd_refuses_hints_that_it_cannot_compare(student: int, teacher: int, side: int) -> None:
    with pytest.raises(SuiteError, match="'down'"):
        distiller("pca_kd", student, teacher, side)


def test_pca_kd_refuses_a_teacher_whose_hint_is_dead() -> None:
    with pytest.raises(DataError, match="'down' is constant"):
        prepared(distiller("pca_kd", 2, 4), torch.ones(2, 4, 6, 6))


def test_facts_survive_a_kill_and_reach_the_rows(tmp_path: Path) -> None:
    methods = {
        "none": {},
        "pca": {"method": "pca_kd"},
        "descent": {"method": "pca_kd", "basis": "gradient", "epochs": 1},
    }
    plan = tiny_plan(tmp_path, methods=methods, budget={"steps": 4, "batch": 16})
    cells = by_method(plan)
    whole, store = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    for place in (whole, store):
        train_teachers(plan, place)
    train_together(list(cells.values()), plan, whole)
    with pytest.raises(Interrupted):
        train_together(list(cells.values()), plan, store, stop=lambda: True)
    train_together(list(cells.values()), plan, store)
    found = {}
    for name in ("pca", "descent"):
        facts = store.read(cells[name].key, "end.json")["facts"]
        assert facts == whole.read(cells[name].key, "end.json")["facts"]
        assert set(facts["AtoB"]["pca_kd"]) == set(ROLES)
        found[name] = facts["AtoB"]["pca_kd"]["up"]
    assert found["pca"]["mcev"] == found["descent"]["mcev"]  # of the teacher, not of the basis
    assert 0 < found["pca"]["kept"] <= 1
    assert found["descent"]["kept"] < found["pca"]["kept"]
    assert "facts" not in store.read(cells["none"].key, "end.json")
    rows = {row["method"]: row for row in entry_rows(plan, store) if row["role"] == "student"}
    assert rows["pca"]["facts"]["AtoB"]["pca_kd"]["up"] == found["pca"]
    assert rows["pca"]["port"] == "pca_kd: port of a style-transfer method"
    assert (rows["none"]["facts"], rows["none"]["port"]) == ({}, "")


# Spectral Diffusion


@pytest.mark.parametrize(("height", "width"), [(6, 6), (4, 5), (2, 2), (1, 1)])
def test_half_a_spectrum_has_the_mean_of_the_whole(height: int, width: int) -> None:
    maps = random(2, 3, height, width).numpy()
    whole = np.abs(np.fft.fft2(maps)).mean((2, 3), keepdims=True)
    half = torch.from_numpy(np.abs(np.fft.rfft2(maps)))
    np.testing.assert_allclose(whole_mean(half, width), whole)


def test_sd_is_the_equation_over_the_whole_spectrum() -> None:
    """In numpy, with the full transform; resizing is tested apart, so the target has the size."""
    mine, theirs = random(2, 4, 6, 6), random(2, 4, 6, 6, seed=1)
    real, image, other = (random(2, 3, 6, 6, seed=s) for s in (2, 3, 4))
    method = distiller("sd", 4, 4, spatial=2.0, frequency=3.0, exponent=-0.5)
    for adapter in method.get_submodule("adapters").children():
        torch.nn.init.dirac_(adapter.weight)
        torch.nn.init.zeros_(adapter.bias)
    found = method.terms(
        trace(image, dict.fromkeys(ROLES, mine), real),
        trace(other, dict.fromkeys(ROLES, theirs), real),
    )
    magnitude = np.abs(np.fft.fft2(real.numpy())).mean(1, keepdims=True)
    magnitude = np.maximum(magnitude, 1e-3 * magnitude.max((2, 3), keepdims=True))
    weight = magnitude**-0.5
    weight /= weight.mean((2, 3), keepdims=True)
    pairs = [(theirs - mine).numpy()] * 4 + [(other - image).numpy()]
    frequency = sum((weight * np.abs(np.fft.fft2(d) / 6) ** 2).mean() for d in pairs)
    assert found["frequency"].item() == pytest.approx(3 * frequency)
    assert found["spatial"].item() == pytest.approx(2 * sum((d**2).mean() for d in pairs))


def test_sd_terms_are_equal_where_all_frequencies_count_alike() -> None:
    """Parseval's theorem, at a size where the half spectrum has no last column of its own."""
    method = distiller("sd", 2, 5, side=7, exponent=0.0)
    image = random(2, 3, 16, 16)
    student = trace(image, dict.fromkeys(ROLES, random(2, 2, 7, 7)), image)
    teacher = trace(image * 0.5, dict.fromkeys(ROLES, random(2, 5, 7, 7, seed=1)), image)
    found = method.terms(student, teacher)
    assert found["spatial"].item() == pytest.approx(found["frequency"].item())


def test_an_error_at_a_frequency_that_the_target_lacks_costs_most() -> None:
    """The target is a coarse wave; the floor keeps what it lacks at a thousand times its peak."""
    x = torch.arange(16, dtype=torch.float64)
    coarse, fine = (torch.cos(2 * torch.pi * k * x / 16).expand(1, 3, 16, 16) for k in (1, 5))
    weight = spectral_weight(coarse, (16, 16), -1.0)
    assert whole_mean(weight, 16).item() == pytest.approx(1)
    ratio = weighted_power(fine, weight) / weighted_power(coarse, weight)
    assert ratio.item() == pytest.approx(1000)


@pytest.mark.parametrize("exponent", [-STEEPEST, STEEPEST])
def test_weights_are_finite_up_to_the_steepest_exponent(exponent: float) -> None:
    """For the faintest image of 8 bits and for the brightest large one, whose spectra are points."""
    for value, side, size in ((1 / 255, 16, 256), (1 / 255, 16, 2), (1.0, 1024, 1024)):
        image = torch.full((1, 3, side, side), value)
        weight = spectral_weight(image, (size, size), exponent)
        assert torch.isfinite(weight).all()
        assert whole_mean(weight, size).item() == pytest.approx(1, rel=1e-3)
    assert not torch.isfinite(spectral_weight(image, (2, 2), -40.0)).all()


def test_the_target_is_resized_without_aliasing() -> None:
    """A wave too fine for the small size would otherwise come back as a coarse one."""
    x = torch.arange(64, dtype=torch.float64)
    fine = torch.cos(2 * torch.pi * 20 * x / 64).expand(1, 3, 64, 64)
    magnitude = spectral_weight(fine + 0.5, (16, 16), 1.0)[0, 0].flatten()
    assert magnitude[0] > 10 * magnitude[1:].max()


def test_sd_refuses_hints_of_another_size() -> None:
    hints = [dict.fromkeys(ROLES, (4, side, side)) for side in (8, 4)]
    with pytest.raises(SuiteError, match="'down'"):
        METHOD.load("sd", "sd")(METHOD.declaration("sd", "test").params({}, "test")).build(
            *(Layout(h, 16, 6) for h in hints)
        )
