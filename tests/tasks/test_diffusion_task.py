"""Diffusion: what is drawn and made against closed forms, and the way from a suite to its scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_train import losses, stop_after
from tiny import (
    plan_without_adversary,
    student_cells,
    train_teachers,
    train_together,
    weights,
)
from torch import Tensor

from bench.contracts.distiller import Layout, Trace
from bench.contracts.kinds import METHOD, TASK
from bench.contracts.task import Turn
from bench.errors import Interrupted, SuiteError
from bench.evaluate.feed import evaluate
from bench.evaluate.generate import open_students, outputs
from bench.maths.diffusion import alpha_bars, noised
from bench.plan.cell import open_dataset
from bench.plan.matrix import Plan, cohorts
from bench.run.preflight import check
from bench.store.layout import Store
from bench.tasks.diffusion import Diffusion
from bench.train.batches import Batches, normalise
from bench.train.learner import Learner

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"multiples": [1, 2], "blocks": 1, "attention": [2]}
DIFFUSION: dict[str, Any] = {
    "datasets": ["photo_crops"],
    "architectures": {
        "lite": {"architecture": "ldm_unet", **SMALL},
        "gated": {"architecture": "sd_unet", **SMALL},
    },
    "methods": {
        "none": {},
        "hinton_l2": {},
        "sd": {"method": "sd_native", "levels": 2},
        "mean": {"method": "sd_native", "levels": 2, "spectrum_of": "batch", "spatial": 0.0},
    },
    "widths": [4],
    "seeds": [0],
    "size": 16,
    "budget": {"steps": 6, "batch": 4, "lr": 2e-3, "decay": 1.0, "warmup": 2},
    "teacher": {"architecture": "lite", "width": 8, "budget": {"steps": 3}},
    "outputs": {"samples": 6, "batch": 4, "steps": 3},
    "metrics": ["spectrum", "psnr", "params", "macs"],
}


def plan_of(folder: Path, **changes: Any) -> Plan:
    return plan_without_adversary(folder, DIFFUSION | changes)


def task(**given: Any) -> Diffusion:
    return Diffusion(TASK.declaration("diffusion", "test").params(given, "test"))


def test_a_cohort_cut_off_and_resumed_has_the_bits_of_each_alone_and_is_scored(
    tmp_path: Path,
) -> None:
    plan = plan_of(tmp_path)
    check(plan.cells.values(), plan.cells, print)
    (cells,) = cohorts(student_cells(plan))  # both architectures, all methods
    assert len(cells) == 8
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    for store in (together, alone):
        train_teachers(plan, store)
    with pytest.raises(Interrupted):
        train_together(cells, plan, together, stop=stop_after(4))
    train_together(cells, plan, together)
    for cell in (cells[2], cells[-1]):
        train_together([cell], plan, alone)
        assert weights(together, cell) == weights(alone, cell), cell.method
        assert losses(together, cell) == losses(alone, cell), cell.method
    gated = cells[-1]
    assert evaluate(gated, together, plan.metrics, CPU) == {}
    scores = {s["metric"]: s for s in together.scores(gated.key).values()}
    assert "images are made from noise" in scores["psnr"]["reason"]
    assert scores["spectrum"]["values"]["spectrum"] > 0
    protocol = scores["spectrum"]["protocol"]
    asked = ("made from", "split", "real images", "samples", "batch", "sampler", "steps", "offset")
    assert [protocol[name] for name in asked] == ["noise", "train", 1000, 6, 4, "ddim", 3, 0]
    assert [protocol[name] for name in ("eta", "last_alpha", "clip")] == [0.0, "one", "both"]
    logged = together.losses(gated.key)[-1]["losses"]
    assert set(logged) == {"noise", "sd_native.spatial", "sd_native.frequency"}


def test_how_samples_are_made_moves_no_key_and_what_is_drawn_parts_cohorts(tmp_path: Path) -> None:
    one, more, shape = (
        student_cells(plan_of(tmp_path, **changes))[0]
        for changes in (
            {},
            {"outputs": {"steps": 7, "eta": 1.0}},
            {"task": {"betas": "scaled linear", "first_beta": 0.0015, "last_beta": 0.0195}},
        )
    )
    assert one.key == more.key
    assert one.batches != shape.batches


def test_methods_of_translation_are_skipped_with_their_reason(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, methods=["none", "wkd", "hinton", "dcd", "sd"])
    said = {e.method: e.reason for e in plan.students if e.cell is None}
    assert set(said) == {"wkd", "hinton", "dcd", "sd"}
    assert said["dcd"] == "dcd treats paired, unpaired data, photo_crops is diffusion"


def test_what_is_fed_is_the_image_and_its_noise_at_its_time(tmp_path: Path) -> None:
    cells = student_cells(plan_of(tmp_path, widths=[4, 8]))
    first, last = (Batches(cell, Learner(cell, CPU, None).task) for cell in (cells[0], cells[-1]))
    batch, same = first[3], last[3]
    assert all(torch.equal(batch[name], same[name]) for name in ("A", "noise", "time"))
    bars = alpha_bars("linear", 1e-4, 0.02, 1000)[batch["time"]]
    x, time = first.task.inputs("sample", batch)
    assert torch.equal(time, batch["time"])
    for i, bar in enumerate(bars.tolist()):
        expected = bar**0.5 * batch["A"][i] + (1 - bar) ** 0.5 * batch["noise"][i]
        torch.testing.assert_close(x[i], expected, rtol=1e-5, atol=1e-6)


def test_times_are_drawn_alike_and_noise_is_normal() -> None:
    drawn = [task(times=10).draw(4, np.random.default_rng(i)) for i in range(2000)]
    counts = np.bincount([int(d["time"]) for d in drawn], minlength=10)
    assert counts.sum() == 2000
    assert ((counts > 140) & (counts < 260)).all()  # 4.5 standard deviations of 200
    noise = np.stack([d["noise"] for d in drawn])
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)


def test_images_are_mirrored_half_of_the_time_and_never_cropped() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)

    def read(domain: str, index: int) -> Any:
        return image

    made = [task().example(read, {"A": 1}, 0, 4, np.random.default_rng(i))["A"] for i in range(400)]
    mirrored = sum(np.array_equal(x, image[:, ::-1]) for x in made)
    assert mirrored + sum(np.array_equal(x, image) for x in made) == 400
    assert 150 < mirrored < 250
    plain = task(flip=False)
    assert all(
        np.array_equal(plain.example(read, {"A": 1}, 0, 4, np.random.default_rng(i))["A"], image)
        for i in range(9)
    )
    assert plain.loaded(16) == 16


@pytest.mark.parametrize(("loss", "expected"), [("l2", 0.25), ("l1", 0.5)])
def test_the_loss_is_the_error_of_the_noise(loss: str, expected: float) -> None:
    noise = torch.randn(2, 3, 4, 4)
    trace = Trace(noise, noise + 0.5, {}, noise, False, None, gan="", batch={"noise": noise})
    turn = Turn("generator", "train", {}, {"sample": trace}, ("noise",), {})
    found = task(loss=loss).losses(turn)
    assert found["noise"].item() == pytest.approx(expected, rel=1e-5)
    without = Turn("generator", "train", {}, {"sample": trace}, (), {})
    assert task().losses(without) == {}


def test_weights_are_averaged_by_the_ramp_up_to_the_cap() -> None:
    assert [task().average(s) for s in (0, 10)] == [0.1, 11 / 20]
    assert task(average=0.3).average(10) == 0.3
    assert task(average=0.0).average(0) is None


def test_weights_decay_as_adamws_do() -> None:
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimiser = task(weight_decay=0.5).optimiser([weight])
    weight.grad = torch.zeros(1)
    optimiser.param_groups[0]["lr"] = 0.1
    optimiser.step()
    assert weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5))


class Knowing:
    """Sees the one image that is in any noise."""

    def __init__(self, image: Tensor, bars: Tensor) -> None:
        self.image, self.bars = image, bars

    def __call__(self, x: Tensor, time: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        bar = self.bars[time].view(-1, 1, 1, 1)
        return ((x - bar.sqrt() * self.image) / (1 - bar).sqrt()).float(), {}


def items_of(indices: range, of: Diffusion, seed: int = 0) -> dict[str, Tensor]:
    rows = [
        of.item(None, "sample", i, 4, np.random.default_rng([seed, i]))  # type: ignore[arg-type]
        for i in indices
    ]
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"steps": 1},
        {"steps": 7, "eta": 1.0},
        {"steps": 200, "offset": 1, "last_alpha": "first", "clip": "never"},
    ],
)
def test_whoever_knows_the_image_makes_it(given: dict[str, Any]) -> None:
    diffusion = task(betas="scaled linear", first_beta=0.0015, last_beta=0.0195)
    bars = alpha_bars("scaled linear", 0.0015, 0.0195, 1000)
    image = torch.linspace(-0.9, 0.9, 48).view(3, 4, 4)
    networks = {"generator": {"sample": Knowing(image, bars)}}
    chosen = {**Diffusion.outputs, **given}
    diffusion.check_outputs(chosen)
    found = diffusion.make(networks, "sample", items_of(range(3), diffusion), chosen)
    near = 3 * (1 - 0.9985) ** 0.5 if given.get("last_alpha") == "first" else 2e-3
    torch.testing.assert_close(found, image.expand_as(found), rtol=0, atol=near)


def test_ldms_last_step_leaves_the_noise_of_the_first_alpha() -> None:
    diffusion = task(betas="scaled linear", first_beta=0.0015, last_beta=0.0195)
    bars = alpha_bars("scaled linear", 0.0015, 0.0195, 1000)
    image = torch.zeros(3, 4, 4)
    networks = {"generator": {"sample": Knowing(image, bars)}}
    chosen = {**Diffusion.outputs, "steps": 200, "offset": 1, "last_alpha": "first"}
    items = items_of(range(2), diffusion)
    found = diffusion.make(networks, "sample", items, chosen)
    start = items["noise"] / (1 - bars[996]).sqrt().item()  # eta 0: the noise stays what it is
    torch.testing.assert_close(found, (1 - 0.9985) ** 0.5 * start, rtol=1e-2, atol=1e-4)


def test_noise_that_is_added_depends_on_index_and_time_alone() -> None:
    diffusion = task(times=100)

    def network(x: Tensor, time: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.zeros_like(x), {}

    networks = {"generator": {"sample": network}}
    chosen = {**Diffusion.outputs, "steps": 5, "eta": 1.0, "clip": "never", "last_alpha": "first"}
    whole = diffusion.make(networks, "sample", items_of(range(4), diffusion), chosen)
    parts = [
        diffusion.make(networks, "sample", items_of(range(i, i + 2), diffusion), chosen)
        for i in (0, 2)
    ]
    assert torch.equal(whole, torch.cat(parts))
    plain = diffusion.make(
        networks, "sample", items_of(range(4), diffusion), {**chosen, "eta": 0.0}
    )
    added = whole - plain
    assert added.std() > 0.01
    assert not torch.allclose(added[0], added[1])


def test_samples_are_pairs_over_widths_methods_and_seeds(tmp_path: Path) -> None:
    """An untrained network predicts no noise: what it makes is what it started from."""
    cells = student_cells(plan_of(tmp_path, widths=[4, 8], seeds=[0, 1]))
    made = []
    for cell in (cells[0], cells[-1]):
        (player,) = Learner(cell, CPU, None).students
        made.append(torch.cat([m.output for m in outputs(cell, player, "sample", "test")]))
    assert made[0].shape == (6, 3, 16, 16)
    assert torch.equal(*made)
    assert not torch.equal(made[0][0], made[0][1])


def test_a_wider_network_finds_more_of_the_noise(tmp_path: Path) -> None:
    """Averaged weights after 60 steps, on crops of the validation split, at three times."""
    budget = {"steps": 60, "batch": 8, "lr": 2e-3, "decay": 1.0, "warmup": 10}
    teacher = {"architecture": "lite", "width": 16, "budget": {"steps": 60}}
    plan = plan_of(tmp_path, methods=["hinton_l2"], widths=[8], budget=budget, teacher=teacher)
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    student = student_cells(plan)[0]
    train_together([student], plan, store)
    crops = open_dataset(student.dataset)
    images = torch.stack([normalise(crops.read("val", "A", i, 16)) for i in range(0, 266, 5)])
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    bars = alpha_bars("linear", 1e-4, 0.02, 1000)
    errors = []
    for cell in (plan.cells[student.teacher], student):
        (player,) = open_students(cell, store, CPU)
        network = player.judged()["generator"]["sample"]
        for time in (100, 300, 600):
            times = torch.full((len(images),), time)
            with torch.no_grad():
                found, _ = network(noised(images, noise, bars[times]), times)
            errors.append((found - noise).square().mean().item())
    assert all(wide < 0.7 * narrow for wide, narrow in zip(errors[:3], errors[3:], strict=True))
    assert max(errors) < 0.7  # of 1, the error of predicting nothing


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": {"steps": 0}}, "outputs.steps: should be 1 to the 1000 times: 0"),
        ({"outputs": {"steps": 1001}}, "outputs.steps: should be 1 to the 1000 times: 1001"),
        ({"outputs": {"offset": 50, "steps": 20}}, "leave room for 0 to 49: 50"),
        ({"outputs": {"sampler": "ddpm"}}, "outputs.sampler: should be one of ddim: ddpm"),
        ({"outputs": {"last_alpha": "zero"}}, "outputs.last_alpha: should be one of one, first"),
        ({"outputs": {"clip": "image and noise"}}, "outputs.clip: should be one of never, image, both"),
        ({"outputs": {"eta": 2.0}}, "outputs.eta: should be 0 to 1: 2.0"),
        ({"task": {"times": 0}}, "task.times: should be at least 1: 0"),
        ({"task": {"last_beta": 1.5}}, "should rise between 0 and 1: 0.0001, 1.5"),
        ({"task": {"average": 1.0}}, "task.average: should be at least 0 and below 1: 1.0"),
        ({"task": {"weight_decay": -1.0}}, "task.weight_decay: should be at least 0: -1.0"),
        ({"size": 15}, "2 levels need a side that is a multiple of 2 pixels, found 15"),
        ({"widths": [3], "teacher": {"architecture": "lite", "width": 4}}, "6 channels does not split"),
        ({"architectures": ["unet"], "teacher": {"width": 2}, "size": 32},
         "unet cannot take what diffusion feeds it: "),
        ({"methods": {"sd_native": {}}}, "with 2 levels has no hint 'decoder3'"),
        ({"methods": {"sd_native": {"levels": 2, "floor": 0.0}}}, "floor: should be above 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_training(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    plan = plan_of(tmp_path, **changes)
    with pytest.raises(SuiteError, match=said):
        check(plan.cells.values(), plan.cells, print)


def test_a_denoiser_cannot_translate(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "datasets": ["photo_edges"], "architectures": {"lite": DIFFUSION["architectures"]["lite"]},
        "methods": ["none"], "outputs": {}, "size": 32, "task": {},
    }  # fmt: skip
    plan = plan_of(tmp_path, **changes)
    with pytest.raises(SuiteError, match="ldm_unet cannot take what paired feeds it: "):
        check(plan.cells.values(), plan.cells, print)


def method(name: str, **given: Any) -> Any:
    return METHOD.load(name, name)(METHOD.declaration(name, "test").params(given, "test"))


def traces(seed: int = 0) -> tuple[Trace, Trace]:
    """Return a student's and a teacher's trace with features of one level."""
    rng = torch.Generator().manual_seed(seed)
    clean, out, taught, mine, theirs = (
        torch.randn(2, channels, 8, 8, generator=rng) for channels in (3, 3, 3, 4, 6)
    )
    return (
        Trace(clean, out, {"decoder1": mine}, clean, False, None),
        Trace(clean, taught, {"decoder1": theirs}, clean, False, None),
    )


LAYOUTS = [Layout({"decoder1": (channels, 8, 8)}, 8, 0) for channels in (4, 6)]


def test_without_an_exponent_frequencies_and_pixels_are_the_same() -> None:
    """Parseval's theorem, with the transform orthonormal and weights of mean one."""
    for given in ({}, {"spectrum_of": "batch"}, {"floor": 0.5}):
        made = method("sd_native", levels=1, exponent=0.0, **given)
        made.build(*LAYOUTS)
        found = made.terms(*traces())
        torch.testing.assert_close(found["spatial"], found["frequency"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("spectrum_of", ["sample", "batch"])
def test_frequencies_weigh_by_the_clean_images_spectrum(spectrum_of: str) -> None:
    """The whole term by NumPy's full transform; of `batch` all images share one weight."""
    made = method("sd_native", levels=0, exponent=-0.5, floor=0.01, spectrum_of=spectrum_of)
    made.build(Layout({}, 8, 0), Layout({}, 8, 0))
    student, teacher = traces()
    magnitude = np.abs(np.fft.fft2(student.real.double().numpy(), norm="ortho")).mean(1)
    if spectrum_of == "batch":
        magnitude = np.broadcast_to(magnitude.mean(0), magnitude.shape)
    magnitude = np.maximum(magnitude, 0.01 * magnitude.max((1, 2), keepdims=True))
    weight = magnitude**-0.5
    weight = weight / weight.mean((1, 2), keepdims=True)
    apart = np.fft.fft2((student.output - teacher.output).double().numpy(), norm="ortho")
    expected = 0.1 * (weight[:, None] * np.abs(apart) ** 2).mean()
    assert made.terms(student, teacher)["frequency"].item() == pytest.approx(expected, rel=1e-4)


def test_each_pair_adds_its_mean_square() -> None:
    made = method("sd_native", levels=1, spatial=2.0)
    made.build(*LAYOUTS)
    student, teacher = traces()
    features = made.adapters["decoder1"](student.hints["decoder1"]) - teacher.hints["decoder1"]
    noise = student.output - teacher.output
    expected = 2 * (features.square().mean() + noise.square().mean())
    torch.testing.assert_close(made.terms(student, teacher)["spatial"], expected)
    assert method("sd_native", levels=3).hints == ("decoder1", "decoder2", "decoder3")


def test_outputs_are_imitated_by_their_mean_square() -> None:
    student, teacher = traces()
    (found,) = method("hinton_l2", weight=3.0).terms(student, teacher).values()
    torch.testing.assert_close(found, 3 * (student.output - teacher.output).square().mean())


def test_the_clean_image_is_what_a_method_sees(tmp_path: Path) -> None:
    """`real` of a trace weighs the frequencies; it is neither the noise nor the noisy image."""
    cell = student_cells(plan_of(tmp_path))[0]
    learner = Learner(cell, CPU, None)
    batch = Batches(cell, learner.task)[0]
    trace = learner.students[0].forward(batch, ())["sample"]
    assert torch.equal(trace.real, batch["A"])
    assert torch.equal(trace.batch["noise"], batch["noise"])
    assert SimpleNamespace(**vars(trace)).discriminator is None
