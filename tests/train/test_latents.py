"""Codes in the place of images: the autoencoder's cell, its scale, and what learns by it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_diffusion_task import DIFFUSION, plan_of
from test_train import losses, stop_after
from tiny import student_cells, train_teachers, train_together, weights

from bench.contracts.dataset import Dataset
from bench.errors import Damaged, DataError, Interrupted, SuiteError, WeightsError
from bench.evaluate.feed import evaluate
from bench.evaluate.generate import open_students, outputs
from bench.plan.cell import Cell, open_dataset
from bench.plan.matrix import Plan, cohorts
from bench.run.preflight import check
from bench.run.verify import verify
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches, normalise
from bench.train.codes import Codec
from bench.train.learner import open_task
from bench.train.player import below

CPU = torch.device("cpu")
LATENTS: dict[str, Any] = {
    "task": {"latents": {"width": 4, "steps": 3, "batch": 2, "params": {"multiples": [1, 2]}}},
    "architectures": {
        name: {**row, "channels": 4} for name, row in DIFFUSION["architectures"].items()
    },
    "outputs": {**DIFFUSION["outputs"], "clip": "never"},
    "metrics": ["psnr", "spectrum", "params", "macs"],
}


class Few(Dataset):
    """Ten images to learn from, and three that are held out."""

    source = "drawn at random"
    licence = "none"
    task = "diffusion"
    domains = ("A",)

    def fingerprint(self) -> str:
        return "few"

    def count(self, split: str, domain: str) -> int:
        return {"train": 10, "test": 3}.get(split, 0) * (domain == "A")

    def read(self, split: str, domain: str, index: int, size: int) -> Any:
        rng = np.random.default_rng([split == "test", index])
        return rng.integers(0, 256, (size, size, 3), np.uint8)


def few(folder: Path, **changes: Any) -> Plan:
    return plan_of(
        folder, **LATENTS | {"datasets": {"few": {"dataset": "test_latents:Few"}}} | changes
    )


def autoencoder(plan: Plan) -> Cell:
    (cell,) = [e.cell for e in plan.entries if e.role == "autoencoder"]
    assert cell is not None
    return cell


def opened(plan: Plan, store: Store) -> Codec:
    train_together([autoencoder(plan)], plan, store)
    return Codec(student_cells(plan)[0], store, CPU, print)


def test_keys_are_those_without_latents_unless_a_suite_asks_for_them(tmp_path: Path) -> None:
    plain, none, given, other = (
        plan_of(tmp_path, **changes)
        for changes in (
            {},
            {"task": {"latents": None}},
            {"task": {"latents": {}}},
            {"task": {"latents": {"steps": 1}}},
        )
    )
    keys = [{cell.key for cell in student_cells(plan)} for plan in (plain, none, given, other)]
    assert keys[0] == keys[1]
    assert not keys[0] & keys[2]
    assert not keys[2] & keys[3]
    assert "latents" not in student_cells(plain)[0].canonical
    assert json.loads(student_cells(given)[0].canonical)["latents"] == {
        "autoencoder": autoencoder(given).key
    }
    cells = student_cells(given)
    assert {c.latents.name for c in cells if c.latents} == {autoencoder(given).key}
    assert all(cell.latents for cell in given.cells.values() if cell.task.name == "diffusion")
    order = list(given.order().static_order())
    assert all(order.index(autoencoder(given).key) < order.index(cell.key) for cell in cells)
    assert {c.batches for c in cells}.isdisjoint({c.batches for c in student_cells(other)})


def test_training_codes_are_the_likeliest_of_each_image_scaled_to_unit_variance(
    tmp_path: Path,
) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    codec = opened(plan, store)
    codes, data = codec.codes(), Few({})
    images = [data.read("train", "A", i, 16) for i in range(10)]
    found = torch.stack([codes(image) for image in images])
    assert found.shape == (10, 4, 8, 8)
    assert found.double().std(correction=0).item() == pytest.approx(1, rel=1e-5)
    with torch.no_grad():
        exact = codec.network.encode(torch.stack([normalise(x) for x in images]))
        mirrored = codec.network.encode(normalise(images[3][:, ::-1])[None])
    torch.testing.assert_close(found / codec.scale, exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codes(images[3][:, ::-1])[None] / codec.scale, mirrored)
    told = json.loads(store.latents(codec.content).with_suffix(".json").read_text())
    assert told["images"] == 10
    assert told["scale"] == pytest.approx(1 / exact.double().std(correction=0).item(), rel=1e-5)
    for name, of in (("mean", exact.mean((0, 2, 3))), ("std", exact.std((0, 2, 3), correction=0))):
        assert told[name] == pytest.approx(of.tolist(), rel=1e-4, abs=1e-6)
    with torch.no_grad():  # what is decoded is what was encoded
        back, expected = (
            codec.decode(found),
            codec.network(torch.stack(list(map(normalise, images)))),
        )
    torch.testing.assert_close(back, expected[0], rtol=1e-4, atol=1e-4)


def test_codes_are_made_once_and_again_if_they_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    first = opened(plan, store)
    path = store.latents(first.content)
    before = path.read_bytes()
    monkeypatch.setattr(Codec, "_encode_all", lambda self: pytest.fail("encoded again"))
    assert Codec(student_cells(plan)[0], store, CPU, print).scale == first.scale
    monkeypatch.undo()
    for how in (lambda: path.write_bytes(b"damaged"), path.unlink):
        how()
        codec = Codec(student_cells(plan)[0], store, CPU, print)
        assert codec.codes().codes.shape == (20, 4, 8, 8)
        assert path.read_bytes() == before


def test_batches_are_codes_with_noise_of_their_shape(tmp_path: Path) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    codes = opened(plan, store).codes()
    cell = student_cells(plan)[0]
    task = open_task(cell)
    batch = Batches(cell, task, 0, codes)[0]
    pixels = Batches(cell, task)
    assert batch["A"].shape == batch["noise"].shape == (4, 4, 8, 8)
    for row, position in zip(batch["A"], range(4), strict=True):
        assert torch.equal(row, codes(pixels._images(position)["A"]))
    whole = next(Batches(cell, task, 0, codes).inputs("sample", CPU))
    assert whole[0].shape == (4, 4, 8, 8)


def test_latent_cells_killed_and_resumed_have_the_bits_of_each_alone_and_are_scored(
    tmp_path: Path,
) -> None:
    plan = few(tmp_path)
    check(plan.cells.values(), plan.cells, print)
    (cells,) = cohorts(student_cells(plan))
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    encoder = autoencoder(plan)
    with pytest.raises(Interrupted):
        train_together([encoder], plan, together, stop=stop_after(2))
    for store in (together, alone):
        train_teachers(plan, store)
    assert weights(together, encoder) == weights(alone, encoder)
    with pytest.raises(Interrupted):
        train_together(cells, plan, together, stop=stop_after(random.Random(1).randrange(1, 6)))
    train_together(cells, plan, together)
    for cell in (cells[0], cells[-1]):
        train_together([cell], plan, alone)
        assert weights(together, cell) == weights(alone, cell), cell.method
        assert losses(together, cell) == losses(alone, cell)
    cell = cells[-1]
    assert evaluate(cell, together, plan.metrics, CPU) == {}
    scores = {s["metric"]: s for s in together.scores(cell.key).values()}
    protocol = scores["spectrum"]["protocol"]
    codec = Codec(cell, together, CPU, print)
    asked = ("autoencoder", "scale", "size", "clip")
    scale = pytest.approx(codec.scale, rel=1e-5)
    assert [protocol[name] for name in asked] == [encoder.key, scale, 16, "never"]

    (student,) = open_students(cell, together, CPU)
    made = torch.cat([batch.output for batch in outputs(cell, student, "sample", "test")])
    assert made.shape == (6, 3, 16, 16)  # decoded
    student.codec = None
    raw = torch.cat([batch.output for batch in outputs(cell, student, "sample", "test")])
    assert raw.shape == (6, 4, 8, 8)

    end = together.read(cell.key, "end.json")
    teachers = {cell.teacher: plan.cells[cell.teacher]} if cell.teacher else {}
    assert verify(cell, teachers, together, end, "cpu").same


def test_an_autoencoder_is_scored_by_its_reconstruction_of_what_it_did_not_see(
    tmp_path: Path,
) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    cell = autoencoder(plan)
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    scores = {s["metric"]: s for s in store.scores(cell.key).values()}
    assert scores["psnr"]["protocol"]["split"] == "test"
    state = below(checkpoint.load(store.checkpoint(cell.key))[0], "student0.generator.reconstruct")
    network = Codec(student_cells(plan)[0], store, CPU, print).network
    assert network.state_dict().keys() == state.keys()
    errors = []
    for index in range(3):
        image = normalise(Few({}).read("test", "A", index, 16))
        with torch.no_grad():
            made = network(image[None])[0][0]
        pixels = made.add(1).mul(127.5).round().clamp(0, 255)
        errors.append((pixels - image.add(1).mul(127.5)).double().square().mean().item())
    expected = np.mean([10 * np.log10(255**2 / error) for error in errors])
    assert scores["psnr"]["values"]["psnr"] == pytest.approx(expected, abs=1e-3)


def test_a_damaged_autoencoder_teaches_nobody(tmp_path: Path) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    train_teachers(plan, store)
    store.checkpoint(autoencoder(plan).key).write_bytes(b"damaged")
    with pytest.raises(Damaged, match="trains cell"):
        train_together(student_cells(plan)[:1], plan, store)
    assert store.state(autoencoder(plan).key).status == "failed"


def test_students_of_codes_that_nobody_makes_any_more_are_trained_again(tmp_path: Path) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    train_teachers(plan, store)
    (cell, *_) = student_cells(plan)
    first = train_together([cell], plan, store)
    open_students(cell, store, CPU)
    encoder = autoencoder(plan)
    tensors, notes = checkpoint.load(store.checkpoint(encoder.key))
    moved = {name: x + 0.01 for name, x in tensors.items()}
    checkpoint.save(store.checkpoint(encoder.key), moved, notes)
    end = store.read(encoder.key, "end.json")
    store.write(encoder.key, "end.json", end | {"weights": checkpoint.digest(moved)})
    with pytest.raises(Damaged, match="makes other codes now"):
        open_students(cell, store, CPU)
    assert store.state(cell.key).status == "failed"
    assert train_together([cell], plan, store) != first
    open_students(cell, store, CPU)


@pytest.mark.parametrize("form", ["own.safetensors", "ldm.ckpt", "cell.safetensors"])
def test_weights_of_a_file_make_the_same_codes_under_a_key_of_their_content(
    tmp_path: Path, form: str
) -> None:
    plan, store = few(tmp_path), Store(tmp_path / "runs")
    trained = opened(plan, store)
    state, path = trained.network.state_dict(), tmp_path / form
    if form == "own.safetensors":
        save_file(state, path)
    elif form == "ldm.ckpt":  # a whole latent diffusion model, as released
        whole = {f"first_stage_model.{name}": x for name, x in state.items()}
        torch.save({"state_dict": whole | {"model.other": torch.zeros(1)}}, path)
    else:
        path.write_bytes(store.checkpoint(autoencoder(plan).key).read_bytes())
    given = {"latents": {"width": 4, "params": {"multiples": [1, 2]}, "file": form}}
    filed = few(tmp_path, task=given, methods=["none"])
    check(filed.cells.values(), filed.cells, print)
    assert [e for e in filed.entries if e.role == "autoencoder"] == []
    cell = student_cells(filed)[0]
    assert str(tmp_path) not in cell.canonical
    told = json.loads(cell.canonical)["latents"]
    assert len(told["autoencoder"]) == 64
    codec = Codec(cell, store, CPU, print)
    assert codec.scale == trained.scale
    assert torch.equal(codec.codes().codes, trained.codes().codes)
    train_together([cell], filed, Store(tmp_path / "other"))

    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="has changed since"):
        check([cell], {}, print)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"nothing": torch.zeros(1)}, "not the weights of this autoencoder: .* are missing"),
        (torch.zeros(1), "cannot be read as weights: they have no names"),
        (None, "cannot be read as weights"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path: Path, contents: Any, said: str) -> None:
    path = tmp_path / "weights.pt"
    if contents is None:
        path.write_bytes(b"no weights")
    else:
        torch.save(contents, path)
    plan = few(tmp_path, task={"latents": {"width": 4, "file": "weights.pt"}}, size=16)
    with pytest.raises(WeightsError, match=said) as error:
        check(student_cells(plan)[:1], {}, print)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("latents", "said"),
    [
        ({"widths": 4}, "task.latents: unknown parameter of latents 'widths'"),
        ("yes", "expected keys, as in"),
        ({"steps": 0}, "steps: should be above 0, found 0"),
        ({"network": "unet"}, "unknown autoencoder 'unet'. Known: kl_autoencoder"),
        ({"file": "none.safetensors"}, "none.safetensors: no such file"),
        ({"params": {"multiples": [1, 1, 1, 1, 1, 1]}}, "stands for 32 x 32 pixels, and 16 is no"),
    ],
)
def test_what_is_wrong_with_latents_is_said_when_the_suite_is_read(
    tmp_path: Path, latents: Any, said: str
) -> None:
    with pytest.raises(SuiteError, match=said):
        few(tmp_path, task={"latents": latents})


def test_no_checkpoint_is_chosen_by_what_students_of_codes_make(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be chosen by `best_on_val`"):
        few(tmp_path, task={"latents": {}}, select={"best_on_val": "nima"})


def test_signals_have_no_latents(tmp_path: Path) -> None:
    rows = {"datasets": ["tones"], "architectures": ["signal_ffn"], "size": 64, "outputs": {}}
    with pytest.raises(SuiteError, match="'latents'"):
        few(tmp_path, task={"latents": {}}, **rows)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": {"samples": 2}}, "outputs.clip: latents are not cut: never, not both"),
        (
            {"architectures": DIFFUSION["architectures"]},
            "unet cannot take what diffusion feeds it: .*: latents have 4 channels",
        ),
        ({"task": {"latents": {"losses": {"kl": -1.0}}}}, "task.kl: should be at least 0"),
    ],
)
def test_what_latents_cannot_be_used_with_is_said_before_training(
    tmp_path: Path, changes: Any, said: str
) -> None:
    plan = few(tmp_path, methods=["none"], **changes)
    with pytest.raises(SuiteError, match=said):
        check(plan.cells.values(), plan.cells, print)


def test_an_autoencoder_needs_images_that_it_does_not_learn_from(tmp_path: Path) -> None:
    from PIL import Image

    for index in range(7):
        pixels = np.random.default_rng(index).integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")

    def rows(held_out: int) -> dict[str, Any]:
        row = {"dataset": "image_folder", "path": str(tmp_path), "held_out": held_out}
        return {"datasets": {"mine": row}}

    plan = few(tmp_path / "suite", **rows(3))
    data = open_dataset(student_cells(plan)[0].dataset)
    named = {split: [f.stem for f in data.files(split, "A")] for split in ("train", "test")}
    assert named == {"train": ["0", "1", "3", "4", "6"], "test": ["2", "5"]}
    check([autoencoder(plan)], {}, print)
    without = few(tmp_path / "suite", **rows(0))
    with pytest.raises(DataError, match="the test split has no images"):
        check([autoencoder(without)], {}, print)
    for held_out in (1, -1, 8):
        with pytest.raises(DataError, match="held_out"):
            few(tmp_path / "suite", **rows(held_out))
