"""Methods that compare features with a teacher that stands still: each loss against its equation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.measure import block_reduce
from test_methods import distiller, lesson
from tiny import by_method, tiny_plan
from torch import Tensor, nn

from baselines.cat import kernel_alignment
from bench.contracts.distiller import Distiller, Layout, Trace
from bench.errors import SuiteError
from bench.run.preflight import check

ROLES = ("down", "mid1", "mid2", "up")
UNPAIRED = {"datasets": ["grass2brick"], "architectures": ["resnet9"]}


def features(seed: int, *shape: int, roles: tuple[str, ...] = ROLES) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {role: torch.randn(shape, generator=generator, dtype=torch.float64) for role in roles}


def trace(
    hints: dict[str, Tensor],
    *,
    image: Tensor | None = None,
    paired: bool = True,
    judge: Any = None,
) -> Trace:
    seen = torch.zeros(1, 3, 8, 8) if image is None else image
    return Trace(torch.zeros_like(seen), seen, hints, seen, paired, judge)


def built(name: str, student: Trace, teacher: Trace, **given: Any) -> Distiller:
    """Return a method with adapters for the features of two traces."""
    method = distiller(name, **given)
    shapes = [
        Layout({role: tuple(x.shape[1:]) for role, x in t.hints.items()}, 8, 6)
        for t in (student, teacher)
    ]
    method.build(*shapes)
    return method.double()


def loss(name: str, student: Trace, teacher: Trace, **given: Any) -> dict[str, float]:
    terms = built(name, student, teacher, **given).terms(student, teacher)
    return {term: value.item() for term, value in terms.items()}


# Attention transfer


def test_at_of_maps_that_share_no_position_is_two_per_hint() -> None:
    left, right = torch.zeros(1, 3, 2, 2), torch.zeros(1, 5, 2, 2)
    left[..., 0], right[..., 1] = 1.5, -4.0
    student, teacher = (trace(dict.fromkeys(ROLES, x)) for x in (left, right))
    assert loss("at", student, teacher) == {"attention": pytest.approx(10 * 4 * 2)}
    mean = loss("at", student, teacher, reduction="mean")
    assert mean == {"attention": pytest.approx(10 * 4 * 2 / 4)}


def test_at_is_its_equation() -> None:
    student, teacher = trace(features(0, 3, 4, 6, 6)), trace(features(1, 3, 8, 6, 6))
    expected = 0.0
    for role in ROLES:
        maps = []
        for t in (student, teacher):
            q = (np.abs(t.hints[role].numpy()) ** 2).sum(1).reshape(3, -1)
            maps.append(q / np.linalg.norm(q, axis=1, keepdims=True))
        expected += 10 * ((maps[0] - maps[1]) ** 2).sum(1).mean()
    assert loss("at", student, teacher)["attention"] == pytest.approx(expected)


# Semantic relations


def test_srkd_of_unlike_and_of_equal_positions() -> None:
    """One-hot positions give S = I, equal positions give 1/2 everywhere: a row differs by 4/2."""
    unlike = torch.eye(4).reshape(1, 4, 2, 2)  # 4 channels, 4 positions
    student, teacher = trace({"down": torch.ones(1, 2, 2, 2)}), trace({"down": unlike})
    assert loss("srkd", student, teacher)["relation"] == pytest.approx(0.1 * (0.5 + 3 * 0.5))


@pytest.mark.parametrize("side", [32, 4])
def test_srkd_is_its_equation_on_averaged_maps(side: int) -> None:
    student = trace(features(0, 2, 3, 8, 8, roles=("down",)))
    teacher = trace(features(1, 2, 5, 8, 8, roles=("down",)))
    distances = []
    for image in range(2):
        found = []
        for t in (student, teacher):
            feature = t.hints["down"][image].numpy()
            block = 1 if side == 32 else 2
            feature = block_reduce(feature, (1, block, block), np.mean)
            rows = feature.reshape(len(feature), -1).T
            gram = np.array([[a @ b for b in rows] for a in rows])
            found.append(gram / np.linalg.norm(gram, axis=1, keepdims=True))
        distances.append(np.abs(found[0] - found[1]).sum(1).mean())
    expected = 0.1 * np.mean(distances)
    assert loss("srkd", student, teacher, side=side)["relation"] == pytest.approx(expected)


# Kernel alignment


def alignment(x: np.ndarray, y: np.ndarray) -> float:
    kx, ky = x @ x.T, y @ y.T
    return (kx * ky).sum() / (np.linalg.norm(kx) * np.linalg.norm(ky))


@pytest.mark.parametrize(("rows", "columns"), [(20, (3, 5)), (4, (8, 6)), (6, (3, 9))])
def test_kernel_alignment_is_its_equation_by_whichever_way_is_shorter(
    rows: int, columns: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((2, rows, c)) for c in columns)
    expected = np.mean([alignment(a, b) for a, b in zip(x, y, strict=True)])
    found = kernel_alignment(torch.from_numpy(x), torch.from_numpy(y))
    assert found.item() == pytest.approx(expected)


def test_kernel_alignment_of_nothing_in_common_is_zero() -> None:
    x, y = torch.zeros(1, 6, 2), torch.zeros(1, 6, 2)
    x[:, :3], y[:, 3:] = 1.0, 1.0
    assert kernel_alignment(x, y).item() == 0.0


def test_cat_takes_positions_or_images_as_rows() -> None:
    student, teacher = trace(features(0, 3, 4, 4, 4)), trace(features(1, 3, 6, 4, 4))
    by_position = by_image = 0.0
    for role in ROLES:
        x, y = student.hints[role].numpy(), teacher.hints[role].numpy()
        pairs = zip(x, y, strict=True)
        by_position += np.mean(
            [alignment(a.reshape(4, -1).T, b.reshape(6, -1).T) for a, b in pairs]
        )
        by_image += alignment(x.reshape(3, -1), y.reshape(3, -1))
    assert loss("cat", student, teacher)["alignment"] == pytest.approx(-by_position)
    by_batch = loss("cat", student, teacher, rows="batch", weight=0.5)
    assert by_batch["alignment"] == pytest.approx(-0.5 * by_image)


def test_cat_over_images_says_nothing_of_one_image_and_is_refused(tmp_path: Path) -> None:
    """The loss of the original code at CycleGAN's batch size: constant, without a gradient."""
    student, teacher = trace(features(0, 1, 4, 4, 4)), trace(features(1, 1, 6, 4, 4))
    for x in student.hints.values():
        x.requires_grad_()
    found = built("cat", student, teacher, rows="batch").terms(student, teacher)["alignment"]
    assert found.item() == pytest.approx(-4)
    found.backward()
    assert student.hints["up"].grad.abs().max() < 1e-12
    methods = {"cat": {"rows": "batch"}}
    plan = tiny_plan(tmp_path, methods=methods, budget={"steps": 4, "batch": 1})
    with pytest.raises(SuiteError, match=r"cat: .* budget\.batch"):
        check(plan.cells.values(), plan.cells, print)
    plan = tiny_plan(tmp_path, methods=methods)  # batch 2
    check(plan.cells.values(), plan.cells, print)


# Variational information


def test_vid_starts_at_variance_five() -> None:
    """A student without features predicts 0."""
    student = trace(dict.fromkeys(ROLES, torch.zeros(1, 2, 4, 4, dtype=torch.float64)))
    teacher = trace(dict.fromkeys(ROLES, torch.full((1, 3, 4, 4), 2.0, dtype=torch.float64)))
    expected = 4 * 0.5 * (4 / 5 + math.log(5))
    assert loss("vid", student, teacher)["likelihood"] == pytest.approx(expected, rel=1e-5)


def test_vid_is_torchs_gaussian_likelihood() -> None:
    student, teacher = trace(features(0, 2, 3, 4, 4)), trace(features(1, 2, 5, 4, 4))
    method = built("vid", student, teacher)
    for theta in method.raw_variances.values():
        nn.init.uniform_(theta, -3, 3)  # another variance per channel
    expected = 0.0
    for role in ROLES:
        mean, target = method.means[role](student.hints[role]), teacher.hints[role]
        variance = F.softplus(method.raw_variances[role]) + 1e-5
        expected += F.gaussian_nll_loss(mean, target, variance.expand_as(mean)).item()
    found = method.terms(student, teacher)["likelihood"]
    assert found.item() == pytest.approx(expected)


# GAN Compression


def test_gan_compression_starts_from_small_adapters_and_the_mean_square() -> None:
    student = trace(dict.fromkeys(ROLES, torch.zeros(1, 16, 4, 4, dtype=torch.float64)))
    teacher = trace(dict.fromkeys(ROLES, torch.full((1, 64, 4, 4), 3.0, dtype=torch.float64)))
    assert loss("gan_compression", student, teacher) == {"hints": pytest.approx(1.0 * 4 * 9)}
    student, teacher = (replace(t, paired=False) for t in (student, teacher))
    assert loss("gan_compression", student, teacher) == {"hints": pytest.approx(0.01 * 4 * 9)}
    adapters = built("gan_compression", student, teacher).adapters
    weights = torch.cat([adapters[role].weight.flatten() for role in ROLES])
    assert weights.std().item() == pytest.approx(0.02, rel=0.1)


def test_gan_compressions_own_recipe_weighs_by_the_data() -> None:
    hints = dict.fromkeys(ROLES, torch.zeros(1, 2, 4, 4, dtype=torch.float64))
    wanted = dict.fromkeys(ROLES, torch.ones(1, 2, 4, 4, dtype=torch.float64))
    image = torch.full((1, 3, 8, 8), 0.25)
    for paired, expected in ((True, {"hints": 4.0}), (False, {"hints": 0.04, "recon": 2.5})):
        student = trace(hints, image=image, paired=paired)
        teacher = trace(wanted, image=torch.zeros_like(image), paired=paired)
        found = loss("gan_compression", student, teacher, recipe="full")
        assert found == pytest.approx(expected)


FULL = {"full": {"method": "gan_compression", "recipe": "full"}}


@pytest.mark.parametrize("place", [{}, UNPAIRED], ids=["paired", "unpaired"])
def test_gan_compressions_own_recipe_plays_its_own_game(
    tmp_path: Path, place: dict[str, Any]
) -> None:
    plan = tiny_plan(tmp_path, methods=FULL, widths=[4], **place)
    check(plan.cells.values(), plan.cells, print)
    learner, batches, teach = lesson(plan, tmp_path)
    assert learner.teacher is not None
    mine, theirs = (p.networks() for p in (learner.students[0], learner.teacher))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)  # of the same width
    found = learner.update(0, 1e-3, batches[0], teach(batches[0]))
    terms = {name for name in found if not name.startswith("discriminator.")}
    unpaired = {"gan", "gan_compression.hints", "gan_compression.recon"}
    assert terms == (unpaired if place else {"gan", "l1", "gan_compression.hints"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": {"width": 4, "discriminator_width": 3}}, "widths are 2 and 3; set teacher"),
        ({"widths": [6]}, "width 6 cannot start from a teacher of 4"),
        (
            {
                "architectures": ["resnet9"],
                "teacher": {"width": 4, "architecture": "mobile_resnet9"},
            },
            "ResNet9 .* cannot start from MobileResNet9",
        ),
        ({"teacher": {"width": 4, "mode": "peers"}}, "frozen, same, assistant, not peers"),
        ({"teacher": {"width": 4, "mode": "online"}}, "frozen, same, assistant, not online"),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_training(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    plan = tiny_plan(tmp_path, methods=FULL, **changes)
    with pytest.raises(SuiteError, match=said):
        check(plan.cells.values(), plan.cells, print)


def test_only_its_own_recipe_needs_a_trained_teacher(tmp_path: Path) -> None:
    for mode in ("peers", "online"):
        plan = tiny_plan(tmp_path, methods=["gan_compression"], teacher={"width": 4, "mode": mode})
        check(plan.cells.values(), plan.cells, print)


def test_discriminators_that_nobody_plays_with_may_differ_in_width(tmp_path: Path) -> None:
    """OMGD's student has none, so that there is none to start as the teacher's."""
    omgd = {"lambda_style": 0.0, "lambda_feature": 0.0}
    row = {"method": "omgd+gan_compression", "omgd": omgd, "gan_compression": {"recipe": "full"}}
    teacher = {"width": 4, "discriminator_width": 3}
    plan = tiny_plan(tmp_path, methods={"both": row}, teacher=teacher)
    check(plan.cells.values(), plan.cells, print)
    learner, batches, teach = lesson(plan, tmp_path)
    assert learner.update(0, 1e-3, batches[0], teach(batches[0]))


# DMAD


class Judge(nn.Module):
    """A discriminator whose `d2` is the mean of what it sees by 2 x 2, and `d4` the image."""

    def forward(self, x: Tensor, hints: tuple[str, ...]) -> tuple[list[Tensor], dict[str, Tensor]]:
        found = {"d2": F.avg_pool2d(x, 2), "d4": x}
        return [x], {role: found[role] for role in hints}


@pytest.mark.parametrize("paired", [True, False])
def test_dmad_is_its_equation(paired: bool) -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 2, 3, 8, 8)).astype(np.float32)
    student, teacher = (
        trace(
            features(i, 2, c, 2, 2), image=torch.from_numpy(images[i]), paired=paired, judge=Judge()
        )
        for i, c in ((0, 3), (1, 5))
    )
    seen = images[1]
    if paired:  # the input, which is black, comes first
        seen = np.concatenate([np.zeros_like(seen), seen], 1)
    d2 = block_reduce(seen, (1, 1, 2, 2), np.mean)
    judged = block_reduce((d2**2).mean(1), (1, 2, 2), np.mean).reshape(2, -1)
    attention = 0.0
    for role in ROLES:
        own, wanted = (
            (t.hints[role].numpy() ** 2).mean(1).reshape(2, -1) for t in (student, teacher)
        )
        target = 0.5 * wanted + 0.5 * judged
        units = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (own, target)]
        attention += ((units[0] - units[1]) ** 2).mean()
    expected = {
        "attention": (10 if paired else 100) * attention,
        "discriminator": 1e-4 * np.linalg.norm(images[0] - images[1]),
    }
    assert loss("dmad", student, teacher) == pytest.approx(expected, rel=1e-5)


# All of them


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("cat", {"side": 0}, "cat: side: should be at least 1: 0"),
        ("srkd", {"side": -1}, "srkd: side: should be at least 1: -1"),
        ("vid", {"variance": 0.0}, "vid: variance: should be above 1e-05 and at most 700.0: 0.0"),
        ("vid", {"variance": 1e3}, r"at most 700.0: 1000.0"),
        ("sd", {"exponent": -40.0}, "sd: exponent: should be from -6.0 to 6.0: -40.0"),
    ],
)
def test_a_parameter_that_would_break_the_first_step_is_refused_before_it(
    tmp_path: Path, name: str, given: dict[str, Any], said: str
) -> None:
    plan = tiny_plan(tmp_path, methods={name: given})
    with pytest.raises(SuiteError, match=said):
        check(plan.cells.values(), plan.cells, print)


def test_vid_starts_at_the_least_and_the_largest_variance_it_takes() -> None:
    same = trace(features(0, 1, 4, 6, 6))
    for variance in (1e-4, 700.0):
        (first, *_) = built("vid", same, same, variance=variance).raw_variances.values()
        assert F.softplus(first.detach())[0].item() + 1e-5 == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize(("name", "least"), [("at", 0.0), ("srkd", 0.0), ("cat", -4.0)])
def test_features_like_the_teachers_cost_the_least_there_is(name: str, least: float) -> None:
    same = trace(features(0, 2, 4, 6, 6))
    (found,) = loss(name, same, same).values()
    assert found == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("name", ["at", "cat", "dmad", "gan_compression", "vid"])
def test_hints_on_other_grids_are_refused_before_training(tmp_path: Path, name: str) -> None:
    teacher = {"width": 4, "architecture": "resnet9"}
    plan = tiny_plan(tmp_path, methods=[name], teacher=teacher)
    with pytest.raises(SuiteError, match="'mid1' is 2 x 2 in the student and 8 x 8"):
        check(by_method(plan).values(), plan.cells, print)
