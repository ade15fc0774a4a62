"""Methods of style transfer: what they compare, against numpy; how they start, against scipy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from sklearn.decomposition import IncrementalPCA
from torch import Tensor

from bench.contracts.distiller import Distiller, Layout, Side, Trace
from bench.contracts.kinds import METHOD, NETWORK
from bench.losses.closed_form import start_block
from bench.maths.least_squares import rank_one_regression, ridge_regression
from bench.maths.local_bases import Common, kept, local_bases
from bench.maths.pca import covariances

ROLES = ("relu1", "relu2", "relu3", "relu4")
SOURCE, STUDENT = (4, 6, 8, 10), (3, 4, 5, 6)


def layout(width: tuple[int, ...]) -> Layout:
    shapes = {r: (c, 32 >> n, 32 >> n) for n, (r, c) in enumerate(zip(ROLES, width, strict=True))}
    return Layout(shapes, 32, 0)


def method(name: str, **given: Any) -> Any:
    params = METHOD.declaration(name, "test").params(given, "test")
    made: Distiller = METHOD.load(name, "test")(params)
    torch.manual_seed(0)
    made.build(layout(STUDENT), layout(SOURCE))
    return made


def network(name: str, width: tuple[int, ...]) -> Any:
    torch.manual_seed(1)
    made: Any = NETWORK.load(name, "test")(width, 32, {})
    made.initialise()
    return made.eval()


def images(count: int, side: int = 32) -> Tensor:
    """Return smooth pictures, [N, 3, S, S] in [-1, 1]."""
    noise = torch.randn(count, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(2))
    return F.interpolate(noise, side, mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def sides() -> tuple[Side, Side]:
    """Return a student and a source whose levels have unit variance."""
    student, source = network("pca_vgg", STUDENT), network("random_vgg", SOURCE)
    with torch.no_grad():
        source.start([(images(6),)], {})
    return Side(student, None), Side(source, None)


def prepared(made: Any, sides: tuple[Side, Side]) -> Any:
    torch.manual_seed(3)
    with torch.no_grad():
        made.prepare(*sides, [(images(6)[:4],), (images(6)[4:],)])
    return made


def trace(network: Any, role: str) -> Trace:
    x = images(2)

    def look(seen: Tensor, roles: Any) -> Any:
        return network(seen, hints=roles)[1]

    found = {role: network(x, hints=(role,))[1][role]}
    return Trace(x, 0.9 * x, found, x, True, None, "", {}, look)


def terms(made: Any, sides: tuple[Side, Side], role: str) -> dict[str, Tensor]:
    with torch.no_grad():
        found: dict[str, Tensor] = made.terms(*(trace(s.generator, role) for s in sides))
    return found


def rows(maps: Tensor) -> list[np.ndarray]:
    """Return each image's map as [C, HW], centred."""
    flat = [x.flatten(1).double().numpy() for x in maps]
    return [x - x.mean(1, keepdims=True) for x in flat]


@torch.no_grad()
def features(sides: tuple[Side, Side], role: str, x: Tensor) -> tuple[Any, Any]:
    mine, theirs = (s.generator(x, hints=(role,))[1][role] for s in sides)
    return rows(mine), rows(theirs)


def global_basis(sides: tuple[Side, Side], role: str, count: int) -> np.ndarray:
    _, theirs = features(sides, role, images(6))
    total = sum(x @ x.T / x.shape[1] for x in theirs)
    return np.asarray(np.linalg.eigh(total)[1][:, ::-1][:, :count])


@pytest.mark.parametrize("role", ROLES)
def test_global_bases_are_numpys_and_features_are_compared_through_them(
    sides: tuple[Side, Side], role: str
) -> None:
    made = prepared(method("pca_kd_style"), sides)
    count = STUDENT[ROLES.index(role)]
    wanted = global_basis(sides, role, count)
    basis = made.basis(role).double().numpy()
    np.testing.assert_allclose(basis @ basis.T, wanted @ wanted.T, atol=1e-5)
    mine, theirs = features(sides, role, images(2))
    distance = np.mean([np.square(basis @ a - b).mean() for a, b in zip(mine, theirs, strict=True)])
    found = terms(made, sides, role)
    assert float(found["features"]) == pytest.approx(distance, rel=1e-4)
    assert ("perceptual" in found) == (role != "relu1")
    direct = prepared(method("pca_kd_style", space="basis"), sides)
    distance = np.mean(
        [np.square(a - basis.T @ b).mean() for a, b in zip(mine, theirs, strict=True)]
    )
    assert float(terms(direct, sides, role)["features"]) == pytest.approx(distance, rel=1e-4)


def test_global_bases_are_sklearns_and_the_papers_descent_nears_them(
    sides: tuple[Side, Side],
) -> None:
    """IncrementalPCA over the same two batches, and some hundred steps of gradient descent."""
    made = prepared(method("pca_kd_style"), sides)
    descended = prepared(method("pca_kd_style", basis="gradient", epochs=200, lr=1e-2), sides)
    for role, count in zip(ROLES, STUDENT, strict=True):
        _, theirs = features(sides, role, images(6))
        peer = IncrementalPCA()
        for part in (theirs[:4], theirs[4:]):
            peer.partial_fit(np.concatenate(part, 1).T)
        found, wanted = made.basis(role).double().numpy(), peer.components_[:count]
        np.testing.assert_allclose(found @ found.T, wanted.T @ wanted, atol=1e-5)
        kept = made.facts_of(role)["kept"]
        assert kept == pytest.approx(peer.explained_variance_ratio_[:count].sum(), abs=1e-6)
        assert kept - 0.02 < descended.facts_of(role)["kept"] <= kept + 1e-6


def test_the_perceptual_term_is_that_of_the_reconstruction(sides: tuple[Side, Side]) -> None:
    made = prepared(method("pca_kd_style", perceptual_weight=2.0), sides)
    source: Any = sides[1].generator
    with torch.no_grad():
        wanted, again = (
            source(x, hints=("relu3",))[1]["relu3"] for x in (images(2), 0.9 * images(2))
        )
    found = terms(made, sides, "relu3")["perceptual"]
    torch.testing.assert_close(found, 2 * F.mse_loss(again, wanted))


def test_local_bases_are_each_images_own_with_positive_sums(sides: tuple[Side, Side]) -> None:
    made = prepared(method("pca_kd_style", bases="image"), sides)
    mine, theirs = features(sides, "relu2", images(2))
    distances = []
    for a, b in zip(mine, theirs, strict=True):
        basis = np.linalg.eigh(b @ b.T)[1][:, ::-1][:, :4]
        basis = basis * np.where(basis.sum(0) < 0, -1, 1)
        distances.append(np.square(basis @ a - b).mean())
    found = float(terms(made, sides, "relu2")["features"])
    assert found == pytest.approx(np.mean(distances), rel=1e-4)


def test_what_local_bases_have_in_common_is_the_least_squares_fit() -> None:
    """By scipy's solver on all positions of all images, one equation each."""
    maps = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = maps * torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)[:, None, None]
    common, each = Common(), covariances(maps)
    bases = local_bases(each, 2)
    common.add(each[:2], bases[:2])
    common.add(each[2:], bases[2:])
    seen = rows(maps)
    targets = [w.T @ x for w, x in zip(bases.numpy(), seen, strict=True)]
    wanted, *_ = scipy.linalg.lstsq(np.concatenate(seen, 1).T, np.concatenate(targets, 1).T)
    np.testing.assert_allclose(common.fit(), wanted, rtol=1e-2, atol=1e-3)


def test_facts_tell_the_floor_the_distance_and_who_lives(sides: tuple[Side, Side]) -> None:
    made = prepared(method("pca_kd_style"), sides)
    found = terms(made, sides, "relu2")
    _, theirs = features(sides, "relu2", images(2))
    variance = np.mean([np.square(x).mean() for x in theirs])
    facts = made.facts()["relu2"]
    assert facts["relative"] == pytest.approx(float(found["features"]) / variance, abs=2e-4)
    assert facts["floor"] == pytest.approx(1 - facts["kept"], abs=1e-4)
    assert facts["live"] == 4
    with torch.no_grad():
        mine, theirs = (trace(side.generator, "relu1") for side in sides)
        mine.hints["relu1"][:, :2] = 0  # type: ignore[index]
        for _ in range(80):
            made.terms(mine, theirs)
    assert made.facts()["relu1"]["live"] == 1
    assert made.facts()["relu3"]["live"] == 5  # nobody looked


@torch.no_grad()
def test_a_level_that_is_far_from_the_source_means_not_trained(sides: tuple[Side, Side]) -> None:
    """By the distance over the floor, the same whatever space it was measured in."""
    said = {}
    for space in ("source", "basis"):
        made = prepared(method("pca_kd_style", space=space), sides)
        for role in ROLES:
            made.terms(*(trace(side.generator, role) for side in sides))
        facts = made.facts()
        said[space] = facts["untrained"]
        for role, mine, theirs in zip(ROLES, STUDENT, SOURCE, strict=True):
            for above in (0.249, 0.251):
                in_basis = above * theirs / mine
                relative = facts[role]["floor"] + above if space == "source" else in_basis
                is_far = bool(made._too_far(role, {**facts[role], "relative": relative}))
                assert is_far == (above > 0.25)
    by_level = [
        {role: float(x) for role, x in re.findall(r"(relu\d) ([\d.]+) \(needs", text)}
        for text in said.values()
    ]
    assert by_level[0].keys() == by_level[1].keys()
    for role, relative in by_level[0].items():
        assert by_level[1][role] == pytest.approx(relative, rel=0.2)  # floors are of whole images
    assert f"(needs {made.facts()['relu2']['floor'] + 0.25:.2f})" in said["source"]


@pytest.mark.parametrize("given", [{"bases": "image"}, {"weight": 0.0}])
def test_who_was_taught_no_global_basis_is_not_judged_by_its_distance(
    sides: tuple[Side, Side], given: dict[str, Any]
) -> None:
    made = prepared(method("pca_kd_style", **given), sides)
    for role in ROLES:
        terms(made, sides, role)
    facts = made.facts()
    assert facts["relu2"]["relative"] > facts["relu2"]["floor"] + 0.25
    assert "untrained" not in facts


@torch.no_grad()
def test_what_linear_encoders_keep_is_of_the_centres_of_the_first_images(
    sides: tuple[Side, Side],
) -> None:
    made = prepared(method("pca_kd_style"), sides)
    inputs = [(images(6)[:4],), (images(6)[4:],)]
    found = made.study(*sides, iter(inputs))["linear_encoders"]
    assert (found["fitted"], found["held_out"]) == (4, 2)
    source: Any = sides[1].generator
    features = source.encode((images(6)[:, :, 8:24, 8:24] + 1) / 2).features
    for role, maps, count in zip(ROLES, features, STUDENT, strict=True):
        each = covariances(maps)
        level = found["levels"][role]
        assert (level["channels"], level["of"]) == (count, maps.shape[1])
        held_out = each[4:].numpy()
        own = np.linalg.eigvalsh(held_out)[:, -count:].sum() / np.trace(held_out, 0, 1, 2).sum()
        assert level["own"] == pytest.approx(own, abs=1e-5)
        wanted = kept(each[:4], each[4:], count)
        assert level["shared"] == pytest.approx(wanted.shared, abs=1e-5)
        assert level["local"] == pytest.approx(wanted.local, abs=1e-5)
    assert made.study(*sides, iter([(images(1),)])) == {}


def test_no_more_images_are_read_than_are_needed(sides: tuple[Side, Side]) -> None:
    made, read = prepared(method("pca_kd_style"), sides), []

    def inputs() -> Any:
        for number in range(100):
            read.append(number)
            yield (images(20),)

    with torch.no_grad():
        found = made.study(*sides, inputs())["linear_encoders"]
    assert (found["fitted"], found["held_out"]) == (64, 32)
    assert read == [0, 1, 2, 3, 4]


def test_ridge_regression_is_that_of_the_stacked_least_squares() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 40)), rng.standard_normal((2, 40))
    ridge = 0.3
    weight = np.sqrt(ridge * np.square(x).sum() / 5)
    stacked = np.concatenate([x, weight * np.eye(5)], 1), np.concatenate([y, np.zeros((2, 5))], 1)
    wanted, *_ = scipy.linalg.lstsq(stacked[0].T, stacked[1].T)
    found = ridge_regression(torch.from_numpy(x), torch.from_numpy(y), ridge)
    np.testing.assert_allclose(found, wanted.T, rtol=1e-8)


def test_weights_of_rank_one_are_found() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((4 * 9, 400)))
    p, q = (torch.from_numpy(rng.standard_normal((3, n))) for n in (4, 9))
    q = q / q.norm(dim=1, keepdim=True)
    y = torch.einsum("kc,kt,ctm->km", p, q, x.view(4, 9, -1))
    found = rank_one_regression(x, y, 4, 0.0)
    sign = (found * p).sum(1, keepdim=True).sign()
    torch.testing.assert_close(sign * found, p)


def test_nothing_to_make_or_to_see_is_weights_of_zero() -> None:
    x = torch.randn(4 * 9, 100, generator=torch.Generator().manual_seed(0))
    y = torch.stack([x[0], torch.zeros(100)])
    found = rank_one_regression(x, y, 4, 1e-3)
    torch.testing.assert_close(found[0], rank_one_regression(x, y[:1], 4, 1e-3)[0])
    assert found[0].any()
    assert not found[1].any()
    assert not ridge_regression(0 * x, y, 1e-3).any()


@pytest.mark.parametrize(("place", "dead"), [(2, 1), (2, 4), (0, 32)])
@torch.no_grad()
def test_a_source_with_dead_channels_starts_a_student_of_numbers(place: int, dead: int) -> None:
    """Components of the second block that are 0 everywhere: one, all, all of the first layer's."""
    student, source = network("pca_mobile", STUDENT), network("mobilenet", (32, 64, 128, 256))
    for weights in source.encoder[1].layers[place].parameters():
        weights[:dead] = 0
    bases = [torch.eye(count)[:, :own] for count, own in zip((32, 64), STUDENT[:2], strict=True)]
    start_block(student, source, 1, bases[1], images(4, 64), bases[0])
    assert all(x.isfinite().all() for x in student.state_dict().values())
    if place == 2:
        assert not student.encoder[1].layers[2][1].weight[:dead].any()


@torch.no_grad()
def test_a_mobile_student_starts_by_regressions_channel_by_channel() -> None:
    """The depthwise convolution that ends the second block, by scipy on explicit patches."""
    student, source = network("pca_mobile", STUDENT), network("mobilenet", (32, 64, 128, 256))
    x = images(4, 64)
    bases = [torch.eye(t)[:, :s] for t, s in zip((32, 64, 128, 256), STUDENT, strict=True)]

    def errors() -> list[float]:
        image = (x + 1) / 2
        return [float(F.mse_loss(student.block(image, n).image, image)) for n in (1, 2, 3, 4)]

    before = errors()
    for level, basis in enumerate(bases):
        start_block(student, source, level, basis, x, bases[level - 1] if level else None)
    assert all(now < 0.5 * then for now, then in zip(errors(), before, strict=True))
    entering = student.encode((x + 1) / 2, 1).features[0]
    first, pointwise, last = student.encoder[1].layers
    entering = np.pad(
        pointwise(first(entering)).double().numpy(), [(0, 0)] * 2 + [(0, 1)] * 2, "reflect"
    )
    view = np.lib.stride_tricks.sliding_window_view(entering, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    targets = rows(source.encode((x + 1) / 2, 2).features[1][:, : STUDENT[1]])
    for channel in range(STUDENT[1]):
        windows = view[:, channel].reshape(len(x), -1, 9)
        seen = (windows - windows.mean(1, keepdims=True)).reshape(-1, 9)
        aim = np.concatenate([t[channel] for t in targets])
        scale = np.sqrt(1e-3 * np.square(seen).sum() / 9)
        stacked = np.concatenate([seen, scale * np.eye(9)]), np.concatenate([aim, np.zeros(9)])
        wanted, *_ = scipy.linalg.lstsq(*stacked)
        found = last[1].weight[channel, 0].double().numpy().ravel()
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


@torch.no_grad()
def test_a_started_encoder_is_the_regression_onto_the_components() -> None:
    """The first level, by scipy on explicit patches; its bias lifts the mean by two deviations."""
    student, source = network("pca_vgg", STUDENT), network("random_vgg", SOURCE)
    x = images(3, 16)
    theirs = rows(source.encode((x + 1) / 2, 1).features[0])
    basis = torch.linalg.qr(torch.randn(4, 3, generator=torch.Generator().manual_seed(4)))[0]
    start_block(student, source, 0, basis, x)
    layer = student.encoder[0].layers[1][1]
    seen = student.encoder[0].layers[0]((x + 1) / 2)
    windows = []
    for image in seen.double().numpy():
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        windows.append(view.transpose(0, 3, 4, 1, 2).reshape(27, -1))
    centred = np.concatenate([w - w.mean(1, keepdims=True) for w in windows], 1)
    targets = np.concatenate([basis.double().numpy().T @ t for t in theirs], 1)
    scale = np.sqrt(1e-3 * np.square(centred).sum() / 27)
    a = np.concatenate([centred, scale * np.eye(27)], 1).T
    b = np.concatenate([targets, np.zeros((3, 27))], 1).T
    wanted, *_ = scipy.linalg.lstsq(a, b)
    found = layer.weight.double().numpy().reshape(3, 27)
    np.testing.assert_allclose(found, wanted.T, rtol=1e-3, atol=1e-4)
    before = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)
    lifted = torch.from_numpy(2 * np.sqrt(np.square(targets).mean(1))).float()
    torch.testing.assert_close(before.mean((0, 2, 3)), lifted, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_started_block_is_outdone_by_no_small_change_of_its_decoder() -> None:
    """Its last convolution is the least squares solution for what it is fed, up to the ridge."""
    student, source = network("pca_vgg", STUDENT), network("random_vgg", SOURCE)
    x = images(6)
    bases = [torch.eye(t)[:, :s] for t, s in zip(SOURCE, STUDENT, strict=True)]
    for level in (0, 1):
        start_block(student, source, level, bases[level], x)
    image = (x + 1) / 2

    def error() -> float:
        return float(F.mse_loss(student.block(image, 1).image, image))

    best, layer = error(), student.decoder[0].after[1]
    for seed in range(5):
        change = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(seed))
        for sign in (1, -1):
            layer.weight.add_(0.02 * sign * change)
            assert error() > best
            layer.weight.sub_(0.02 * sign * change)


def test_an_embedding_starts_where_the_bases_are(sides: tuple[Side, Side]) -> None:
    """Then its distance is that of the eigenbases, means aside."""
    student = network("pca_vgg", STUDENT)
    own = (Side(student, None), sides[1])
    ckd = prepared(method("ckd", start="closed_form", weight=1.0), own)
    pca = method("pca_kd_style")
    pca.load_state_dict(ckd.state_dict(), strict=False)
    for role in ROLES:
        mine, theirs = (terms(m, own, role)["features"] for m in (ckd, pca))
        assert float(theirs) == pytest.approx(float(mine), rel=0.35)
    layer = ckd.embeddings["relu2"]
    torch.testing.assert_close(layer.weight[:, :, 0, 0], ckd.basis("relu2"))


def test_a_constant_source_is_refused(sides: tuple[Side, Side]) -> None:
    from bench.errors import DataError

    flat = torch.zeros(2, 3, 32, 32)
    with torch.no_grad(), pytest.raises(DataError, match="'relu1' is constant on every input"):
        method("pca_kd_style").prepare(*sides, [(flat,)])
