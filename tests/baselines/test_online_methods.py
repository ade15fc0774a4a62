"""OMGD, DCD and FESD: each term against its equation, and the teacher that trains along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from test_train import losses, stop_after
from tiny import by_method, tiny_plan, train_together, weights
from torch import Tensor, nn

from baselines.fesd import shifted
from baselines.omgd import similarity, total_variation
from bench.contracts.distiller import Distiller, Layout, Trace
from bench.contracts.kinds import METHOD
from bench.errors import Interrupted, SuiteError, WeightsError
from bench.losses.adapters import View, cooperation
from bench.losses.perceptual import TAPS, VGG16, gram, perceptual_terms
from bench.maths.radial import count_bins, log_spectrum
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.learner import Learner, open_task
from bench.train.player import below

CPU = torch.device("cpu")
ROLES = ("down", "mid1", "mid2", "up")
UNPAIRED = {"datasets": ["grass2brick"], "architectures": ["mobile_resnet9"]}
BLIND = {"lambda_style": 0.0, "lambda_feature": 0.0}  # without VGG-16
ONLINE = {name: {"method": name, **BLIND} for name in ("omgd", "dcd", "fesd")}


class Sees(nn.Module):
    """A discriminator whose features are the image's channels times 3; it says 0.5 of any image."""

    def forward(self, x: Tensor, hints: Any = ()) -> Any:
        return [x[:, :1] * 0 + 0.5], dict.fromkeys(hints, 3 * x)


def method(name: str, **given: Any) -> Distiller:
    return METHOD.load(name, name)(METHOD.declaration(name, "test").params(given, "test"))


def built(name: str, channels: int = 3, side: int = 32, **given: Any) -> Distiller:
    """Return a method for students of 8 channels and teachers of 16, not told about VGG-16."""
    made = method(name, **BLIND | given)
    torch.manual_seed(0)
    layouts = [Layout(dict.fromkeys(ROLES, (c, side, side)), 4 * side, channels) for c in (8, 16)]
    made.build(*layouts)
    return made


def trace(channels: int, seed: int, gan: str = "lsgan", side: int = 32) -> Trace:
    """Return what a player with so many hint channels did, at random."""
    made = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 2, 3, 4 * side, 4 * side, generator=made) * 2 - 1
    hints = {r: torch.randn(2, channels, side, side, generator=made) for r in ROLES}
    judge: Any = Sees()
    return Trace(images[0], images[1], hints, images[2], False, judge, gan)


def test_what_a_method_asks_of_the_teachers_discriminator_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods={"fesd": BLIND})
    (cell,) = by_method(plan).values()
    learner = Learner(cell, CPU, None)
    (taught,) = learner.distillers[0]
    seen = []

    def asked(student: Trace, teacher: Trace) -> dict[str, Tensor]:
        assert not student.output.requires_grad
        assert not teacher.output.requires_grad
        logits, _ = teacher.judge(student.output)
        seen.append(3 * logits[0].mean())
        return {"student": seen[-1]}

    monkeypatch.setattr(taught.distiller, "discriminator_terms", asked)
    found = learner.update(0, 1e-3, Batches(cell, learner.task)[0], None)
    assert torch.equal(found["teacher.fesd.student"], seen[0].detach())


# spectra


def numpy_spectrum(images: np.ndarray) -> np.ndarray:
    """SSD-GAN's feature: all frequencies, shifted, means by bincount."""
    side = images.shape[-1]
    y, x = np.indices((side, side)) - side // 2
    radius = np.sqrt(x**2 + y**2).astype(int).ravel()
    found = []
    for image in images:
        gray = 0.2989 * image[0] + 0.5870 * image[1] + 0.1140 * image[2]
        level = np.fft.fftshift(np.log(np.sqrt(np.abs(np.fft.fft2(gray)) ** 2 + 1e-10)))
        profile = (np.bincount(radius, level.ravel()) / np.bincount(radius))[1:-2]
        found.append((profile - profile.min()) / (profile.max() - profile.min()))
    return np.stack(found)


@pytest.mark.parametrize("side", [6, 32, 33, 64])
def test_the_spectrum_is_numpys(side: int) -> None:
    images = np.random.default_rng(side).uniform(-1, 1, (3, 3, side, side))
    found = log_spectrum(torch.from_numpy(images).float())
    np.testing.assert_allclose(found.numpy(), numpy_spectrum(images), atol=2e-5)
    assert found.shape == (3, count_bins(side))


def test_the_spectrum_has_the_published_number_of_bins() -> None:
    assert [count_bins(side) for side in (64, 128, 256)] == [43, 88, 179]


def test_the_gradient_of_the_spectrum_is_the_difference_quotient() -> None:
    """The published feature is detached: its gradient is zero."""
    torch.manual_seed(0)
    image, step = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    weight = torch.randn(count_bins(16))
    image.requires_grad_()
    (log_spectrum(image) @ weight).sum().backward()
    with torch.no_grad():
        ends = [(log_spectrum(image + s * 1e-3 * step) @ weight).item() for s in (1, -1)]
    assert (image.grad * step).sum().item() == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.02)


def test_an_empty_map_has_a_flat_spectrum_and_no_gradient() -> None:
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    found = log_spectrum(image)
    found.sum().backward()
    assert not found.any()
    assert not image.grad.any()


# partial channel shift


def test_channels_are_shifted_as_on_paper() -> None:
    """A ramp: the value at column x, row y is 10 y + x in each of 8 channels."""
    ramp = (10 * torch.arange(3.0)[:, None] + torch.arange(3.0)).expand(1, 8, 3, 3)
    still = ramp[0, 0].tolist()
    up = [[10, 11, 12], [20, 21, 22], [0, 0, 0]]
    down = [[0, 0, 0], [0, 1, 2], [10, 11, 12]]
    left = [[1, 2, 0], [11, 12, 0], [21, 22, 0]]
    right = [[0, 0, 1], [0, 10, 11], [0, 20, 21]]
    for direction, ratio, expected in (
        ("none", 0.5, [still] * 8),
        ("uni", 0.25, [still] * 3 + [up] * 2 + [still] * 3),
        ("bi", 0.25, [still] * 3 + [up, down] + [still] * 3),
        ("bi", 0.5, [still] * 2 + [up, up, down, down] + [still] * 2),
        ("bi", 0.01, [still] * 3 + [up, down] + [still] * 3),  # at least one each way
        ("cross", 0.25, [still] * 3 + [up, left] + [still] * 3),
        ("quad", 0.5, [still] * 2 + [up, down, left, right] + [still] * 2),
    ):
        assert shifted(ramp, direction, 1, ratio)[0].tolist() == expected, (direction, ratio)
    assert not shifted(ramp, "bi", 5, 0.25)[0, 3:5].any()  # further than the map


def test_the_papers_shift_moves_an_eighth_of_the_channels_by_two() -> None:
    features = torch.rand(1, 64, 8, 8) + 1
    moved = shifted(features, "bi", 2, 0.125)
    assert [i for i in range(64) if not torch.equal(moved[0, i], features[0, i])] == [
        *range(28, 36)
    ]
    assert torch.equal(moved[0, 28:32, :6], features[0, 28:32, 2:])
    assert torch.equal(moved[0, 32:36, 2:], features[0, 32:36, :6])


# images


def test_vgg16_is_its_file_layer_by_layer(vgg16: Path) -> None:
    state = torch.load(vgg16, weights_only=True)
    torch.manual_seed(1)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    x, expected = images / 2 + 0.5, []
    for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)):
        x = F.max_pool2d(x, 2) if expected else x
        for i in block:
            x = F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1)
            x = x.relu()
        expected.append(x)
    found = VGG16.on(CPU)(images)
    assert list(found) == list(TAPS)
    for mine, theirs in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.usefixtures("vgg16")
def test_style_and_feature_are_numpys_and_leave_the_target_alone() -> None:
    torch.manual_seed(2)
    output, target = (torch.rand(2, 2, 3, 32, 32) * 2 - 1).requires_grad_().unbind()
    a, b = ({n: f.detach().numpy() for n, f in VGG16.on(CPU)(x).items()} for x in (output, target))
    style = feature = 0.0
    for name in TAPS:
        _, c, h, w = a[name].shape
        grams = [np.einsum("nchw,ndhw->ncd", x[name], x[name]) / (c * h * w) for x in (a, b)]
        style += np.abs(grams[0] - grams[1]).mean()
        feature += np.abs(a[name] - b[name]).mean()
    found = perceptual_terms(output, target, 2.0, 3.0, layers=tuple(TAPS))
    assert found["style"].item() == pytest.approx(2 * style, rel=1e-4)
    assert found["feature"].item() == pytest.approx(3 * feature, rel=1e-4)
    one = perceptual_terms(output, target, 0.0, 3.0)
    assert list(one) == ["feature"]
    assert one["feature"].item() == pytest.approx(3 * np.abs(a["relu2_2"] - b["relu2_2"]).mean())
    grads = torch.autograd.grad(sum(found.values()), [output, target], allow_unused=True)
    assert grads[0].abs().max() > 0
    assert grads[1] is None
    same = perceptual_terms(output, output.detach(), 2.0, 3.0)
    assert all(value == 0 for value in same.values())


def test_gram_of_two_orthogonal_channels() -> None:
    features = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])  # C 2, H 1, W 2
    assert gram(features).tolist() == [[[4 / 4, 0], [0, 9 / 4]]]


def test_similarity_is_the_equation_with_zeros_beyond_the_border() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.uniform(-1, 1, (2, 2, 3, 24, 24))

    def blur(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, (0, 0, 1.5, 1.5), mode="constant", radius=(0, 0, 5, 5))

    m, n = blur(a), blur(b)
    top = (2 * m * n + 1e-4) * (2 * (blur(a * b) - m * n) + 9e-4)
    under = (m**2 + n**2 + 1e-4) * (blur(a**2) - m**2 + blur(b**2) - n**2 + 9e-4)
    x, y = (torch.from_numpy(image).float() for image in (a, b))
    assert similarity(x, y).item() == pytest.approx((top / under).mean(), abs=1e-5)
    assert similarity(x, x).item() == pytest.approx(1, abs=1e-6)


def test_total_variation_is_a_plain_sum() -> None:
    steps = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 1.0]]).expand(2, 3, 2, 3)
    assert total_variation(steps).item() == 2 * 3 * ((1 + 2) + (1 + 0) + (0 + 0 + 2))


# hints


def test_channels_are_compared_by_their_means_after_the_adapter() -> None:
    omgd = built("omgd", lambda_ssim=0.0, lambda_tv=0.0)
    student, teacher = trace(8, 1), trace(16, 2)
    found = omgd.terms(student, teacher)
    expected = 0.0
    for role in ROLES:
        convolution, norm, _ = omgd.adapters[role]
        weight = convolution.weight.detach().numpy()[:, :, 0, 0].astype(float)
        mapped = np.einsum("dc,nchw->ndhw", weight, student.hints[role].numpy().astype(float))
        mean, variance = (of(mapped, axis=(0, 2, 3), keepdims=True) for of in (np.mean, np.var))
        scale, bias = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
        active = np.maximum((mapped - mean) / np.sqrt(variance + 1e-5) * scale + bias, 0)
        difference = active.mean((2, 3)) - teacher.hints[role].numpy().mean((2, 3))
        expected += 500 * np.square(difference).mean()
    assert list(found) == ["channels"]
    assert found["channels"].item() == pytest.approx(expected, rel=1e-4)


def test_cooperation_is_the_sum_over_hints_of_the_mean_distance_of_features() -> None:
    judge: Any = Sees()
    one, two = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.75)
    views = [View(one, two), View(two, one), View(one, one)]
    assert cooperation(judge, views).item() == 3 * (0.25 + 0.25)


@pytest.mark.parametrize("name", ["dcd", "fesd"])
def test_the_teachers_adapters_stay_as_drawn_on_unpaired_data_only(name: str) -> None:
    for channels, is_trained in ((3, False), (6, True)):
        views = built(name, channels).views
        assert all(m.training == is_trained for m in views.teacher.modules())
        assert all(p.requires_grad == is_trained for p in views.teacher.parameters())
        assert all(m.training for m in views.student.modules())
        assert all(p.requires_grad for p in views.student.parameters())
        assert all(a[0].out_channels == channels for a in views.teacher.values())


def test_small_hints_are_enlarged_to_what_a_discriminator_can_judge() -> None:
    dcd = built("dcd", side=4)
    views = dcd.views(trace(8, 1, side=4).hints, trace(16, 2, side=4).hints)
    assert {tuple(x.shape) for view in views for x in view} == {(2, 3, 32, 32)}
    assert torch.equal(views[0].student[..., ::8, ::8].repeat_interleave(8, -1),
                       views[0].student[..., ::8, :])  # fmt: skip


def test_spectra_are_compared_by_the_classifiers_verdicts_after_the_shift() -> None:
    fesd = built("fesd", lambda_gan=0.0, lambda_cd=0.0, lambda_spec=0.5)
    fesd.eval()  # so that the adapters can be asked again
    student, teacher = trace(8, 1), trace(16, 2)
    weight = fesd.classifier.weight.detach().numpy()[0]
    expected = 0.0
    for role in ROLES:
        own = fesd.views.student[role](shifted(student.hints[role], "bi", 2, 0.125))
        above = fesd.views.teacher[role](shifted(teacher.hints[role], "bi", 2, 0.125))
        spectra = [numpy_spectrum(x.detach().numpy().astype(float)) for x in (own, above)]
        expected += np.abs((spectra[0] - spectra[1]) @ weight).mean()
    found = fesd.terms(student, teacher)
    assert list(found) == ["spectrum"]
    assert found["spectrum"].item() == pytest.approx(0.5 * expected, rel=1e-3)


def test_spectra_are_as_fine_as_the_largest_hint_allows_wherever_it_is() -> None:
    fesd = method("fesd", **BLIND)
    sides = dict(zip(ROLES, (16, 32, 64, 48), strict=True))
    hints = [{r: torch.randn(1, c, side, side) for r, side in sides.items()} for c in (8, 16)]
    fesd.build(*(Layout({r: tuple(x.shape[1:]) for r, x in h.items()}, 64, 3) for h in hints))
    assert fesd.classifier.in_features == count_bins(64)
    image = torch.rand(1, 3, 64, 64)
    student, teacher = (Trace(image, image, h, image, False, Sees()) for h in hints)
    assert fesd.terms(student, teacher)["spectrum"] > 0
    assert fesd.discriminator_terms(student, teacher)["spectrum"] > 0


@pytest.mark.parametrize(("gan", "fools", "rejects"), [("lsgan", 0.25, 0.25), ("hinge", -0.5, 1.5)])
def test_the_adversarial_terms_are_of_the_tasks_kind(
    gan: str, fools: float, rejects: float
) -> None:
    """The discriminator says 0.5."""
    student, teacher = trace(8, 1, gan), trace(16, 2, gan)
    for name in ("dcd", "fesd"):
        assert built(name).terms(student, teacher)["gan"].item() == pytest.approx(fools)
    fesd = built("fesd", lambda_gan=0.2)
    found = fesd.discriminator_terms(student, teacher)["student"].item()
    assert found == pytest.approx(0.2 * 0.5 * rejects)


def test_the_classifier_learns_real_spectra_from_the_teachers() -> None:
    fesd = built("fesd")
    student, teacher = trace(8, 1), trace(16, 2)
    small = [F.avg_pool2d(x, 4).numpy().astype(float) for x in (teacher.real, teacher.output)]
    weight = fesd.classifier.weight.detach().numpy()[0]
    real, fake = (numpy_spectrum(x) @ weight for x in small)
    expected = 0.5 * (np.square(real - 1).mean() + np.square(fake).mean())
    found = fesd.discriminator_terms(student, teacher)["spectrum"]
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "weight", "term"),
    [("omgd", "ssim", "ssim"), ("omgd", "tv", "tv"), ("omgd", "cd", "channels"),
     ("dcd", "gan", "gan"), ("dcd", "cd", "cooperation"), ("fesd", "gan", "gan"),
     ("fesd", "cd", "cooperation"), ("fesd", "spec", "spectrum")],
)  # fmt: skip
def test_a_weight_scales_its_own_term_and_zero_leaves_it_out(
    name: str, weight: str, term: str
) -> None:
    student, teacher = trace(8, 1), trace(16, 2)
    once, twice, never = (
        built(name, **{f"lambda_{weight}": x}).terms(student, teacher) for x in (1.0, 2.0, 0.0)
    )
    assert twice[term].item() == pytest.approx(2 * once[term].item())
    assert set(once) - set(never) == {term}
    assert all(torch.equal(once[n], never[n]) for n in never)


def nothing(name: str) -> dict[str, Any]:
    """Return parameters of a student that would never move."""
    weights = METHOD.declaration(name, "test").fields["defaults"]
    return {weight: 0.0 for weight in weights if weight.startswith("lambda_")}


def test_what_cannot_be_shifted_or_timed_or_moved_is_refused() -> None:
    for name, given, said in (
        ("fesd", {"ratio": 0.0}, "ratio 0.0 and shift 2"),
        ("fesd", {"shift": 0}, "ratio 0.125 and shift 0"),
        ("dcd", {"teacher_every": 0}, "dcd: teacher_every: should be at least 1: 0"),
        ("omgd", {"teacher_every": 0}, "omgd: teacher_every: should be at least 1: 0"),
        *((name, nothing(name), f"{name}: every weight is 0 .* lambda_cd") for name in ONLINE),
    ):
        with pytest.raises(SuiteError, match=said):
            built(name, **given)


# the teacher that trains along


def test_vgg16_is_asked_for_only_where_a_term_reads_it(tmp_path: Path) -> None:
    check(tiny_plan(tmp_path, methods=ONLINE).cells.values(), {}, print)
    for name in ONLINE:
        with pytest.raises(WeightsError, match=r"vgg16-397923af.pth: missing"):
            check(tiny_plan(tmp_path, methods=[name]).cells.values(), {}, print)


def test_an_edit_of_the_online_teachers_network_is_noticed(tmp_path: Path) -> None:
    wide = {"mode": "online", "architecture": "resnet9"}
    plan = tiny_plan(tmp_path, methods={"omgd": {**ONLINE["omgd"], "teacher": wide}})
    (cell,) = by_method(plan).values()
    assert {"network unet", "network resnet9", "network patchgan"} <= set(cell.sources())


def test_online_methods_end_with_the_same_bits_together_alone_and_after_a_kill(
    tmp_path: Path,
) -> None:
    """On unpaired data, where the teacher's adapters stay as drawn; test_methods.py has the rest."""
    plan = tiny_plan(tmp_path, methods=ONLINE, budget={"steps": 4, "batch": 1}, **UNPAIRED)
    cells = list(by_method(plan).values())
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    with pytest.raises(Interrupted):
        train_together(cells, plan, together, stop=stop_after(3))
    train_together(cells, plan, together)
    for cell in cells:
        train_together([cell], plan, alone)
        assert weights(together, cell) == weights(alone, cell), cell.method
        assert losses(together, cell) == losses(alone, cell)


def test_the_teacher_learns_as_without_a_student_unless_its_judge_sees_the_student(
    tmp_path: Path,
) -> None:
    methods = {**ONLINE, "hinton": {"method": "hinton", "teacher": {"mode": "online"}}}
    plan = tiny_plan(tmp_path, methods=methods, **UNPAIRED)
    store = Store(tmp_path / "runs")
    train_together(list(by_method(plan).values()), plan, store)
    found = {}
    for name, cell in by_method(plan).items():
        tensors, _ = checkpoint.load(store.checkpoint(cell.key))
        found[name] = below(tensors, "mentor")
        judges = [n for n in below(tensors, "student0") if n.startswith("discriminator")]
        assert bool(judges) == (name == "hinton"), name
    for name in ("omgd", "dcd"):
        assert all(torch.equal(found[name][n], found["hinton"][n]) for n in found["hinton"]), name
    judging = [n for n in found["fesd"] if n.startswith("discriminator") and n.endswith("weight")]
    assert judging
    assert not any(torch.equal(found["fesd"][n], found["hinton"][n]) for n in judging)


def test_the_classifier_moves_with_the_teachers_discriminator_and_not_with_the_student(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, methods={"fesd": ONLINE["fesd"]}, **UNPAIRED)
    (cell,) = by_method(plan).values()
    learner = Learner(cell, CPU, None)
    assert learner.mentor is not None
    classifiers = [p for t in learner.distillers[0] for p in t.distiller.classifier.parameters()]
    start = [p.clone() for p in classifiers]
    moved = {
        turn: {id(p) for group in player.optimisers[turn].param_groups for p in group["params"]}
        for turn, player in (("generator", learner.students[0]), ("discriminator", learner.mentor))
    }
    assert {id(p) for p in classifiers} <= moved["discriminator"]
    assert not {id(p) for p in classifiers} & moved["generator"]
    learner.update(0, 1e-3, Batches(cell, learner.task)[0], None)
    assert not any(torch.equal(a, b) for a, b in zip(start, classifiers, strict=True))


def test_a_teacher_that_moves_at_every_second_step_stands_still_in_between(tmp_path: Path) -> None:
    row = {**ONLINE["omgd"], "teacher_every": 2}
    plan = tiny_plan(tmp_path, methods={"omgd": row})
    (cell,) = by_method(plan).values()
    learner = Learner(cell, CPU, None)
    assert learner.mentor is not None
    batches, seen = Batches(cell, open_task(cell)), []
    for step in range(3):
        found = learner.update(step, 1e-3, batches[step], None)
        moved = {n: p.clone() for n, p in learner.mentor.modules.named_parameters()}
        seen.append((moved, any(name.startswith("teacher.") for name in found)))
    assert [told for _, told in seen] == [True, False, True]
    assert all(torch.equal(seen[0][0][n], seen[1][0][n]) for n in seen[0][0])
    assert not all(torch.equal(seen[1][0][n], seen[2][0][n]) for n in seen[0][0])
