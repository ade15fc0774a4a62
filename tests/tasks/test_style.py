"""Style transfer as a task: pairs of blocks in turn, resumed anywhere; outputs made from pairs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from harness import Runs
from skimage.metrics import peak_signal_noise_ratio
from test_other_tasks import drop_judges
from test_train import stop_after
from tiny import train_teachers, train_together, write_suite

from bench.contracts.kinds import DATASET
from bench.errors import Interrupted, SuiteError, WeightsError
from bench.evaluate.generate import outputs
from bench.losses.eigenbases import EigenbasisDistiller
from bench.maths.guided_filter import guided_filter
from bench.plan.cell import Cell
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.suite import load
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train.batches import Batches
from bench.train.items import items
from bench.train.learner import Learner
from bench.train.loop import open_teacher

CPU = torch.device("cpu")
STYLE: dict[str, Any] = {
    "datasets": {"photos": {"dataset": "few_photos:Few"}},
    "architectures": ["pca_vgg"],
    "methods": {
        "none": {},
        "pca": {"method": "pca_kd_style", "start": "closed_form"},
        "ckd": {"method": "ckd"},
    },
    "widths": [[3, 4, 5, 6]],
    "seeds": [0],
    "size": 64,
    "budget": {"steps": 3, "batch": 2, "lr": 1e-3},
    "stages": {"block3": {"steps": 2}},
    "teacher": {"architecture": "random_vgg", "width": [4, 6, 8, 10], "budget": {"steps": 1}},
    "metrics": ["style_loss", "content_loss", "ssim", "params"],
}
FEW = '''
from bench.data.style_photos import StylePhotos as Base
class Few(Base):
    """Few photographs."""
    def count(self, split, domain):
        return {"train": 12, "val": 0, "test": 3}[split]
'''


def suite_of(folder: Path, **changes: Any) -> Path:
    (folder / "few_photos.py").write_text(FEW)
    suite = write_suite(folder, **STYLE | changes)
    drop_judges(suite)
    return suite


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules a suite may name."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def plan_of(folder: Path, **changes: Any) -> Plan:
    return expand(load(suite_of(folder, **changes)))


def students(plan: Plan) -> dict[str, Cell]:
    return {e.method: e.cell for e in plan.students if e.cell}


def test_a_stage_moves_its_pair_of_blocks_and_nothing_else(folder: Path) -> None:
    cell = students(plan_of(folder))["none"]
    assert [b.steps for b in cell.budgets] == [3, 3, 2, 3]
    learner = Learner(cell, CPU, None)
    network = learner.students[0].generators["stylise"]
    for stage in range(4):
        learner.begin(stage)
        batch = Batches(cell, learner.task, stage)[0]
        assert batch["A"].shape == (2, 3, 32, 32)  # half of the suite's size
        before = {n: x.clone() for n, x in network.state_dict().items()}
        terms = learner.update(stage, 1e-2, batch, None)
        assert set(terms) == {"reconstruction", *(["feature"] if stage else [])}
        after = network.state_dict()
        moved = {n for n in before if not torch.equal(before[n], after[n])}
        parts = {".".join(n.split(".")[:2]) for n in moved} - {"variance"}
        assert parts == {f"encoder.{stage}", f"decoder.{stage}"}
        assert "encoder.0.layers.0.weight" not in moved  # drawn, and never trained
        changed = (before["variance"] != after["variance"]).nonzero().flatten().tolist()
        assert changed == [stage]


def test_the_original_losses_are_those_of_the_paper(folder: Path) -> None:
    """By hand from the network's own blocks, of images in [0, 1]."""
    learner = Learner(students(plan_of(folder))["none"], CPU, None)
    learner.begin(2)
    batch = Batches(learner.cell, learner.task, 2)[0]
    network: Any = learner.students[0].generators["stylise"]
    with torch.no_grad():
        image = (batch["A"] + 1) / 2
        codes = network.encode(image, 3)
        inner = network.decoder[2](codes.features[2], codes.skips[2])
        outer = network.decoder[1](inner, codes.skips[1])
        made = network.decoder[0](outer, codes.skips[0])
        wanted = {
            "reconstruction": F.mse_loss(made, image),
            "feature": F.mse_loss(inner, codes.features[1]),
        }
    terms = learner.update(0, 1e-9, batch, None)
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-7)


def test_a_frozen_source_is_asked_for_the_stages_level_alone(folder: Path) -> None:
    plan, store = plan_of(folder), Store(folder / "runs")
    train_teachers(plan, store)
    cell = students(plan)["pca"]
    teacher = open_teacher(plan.cells[cell.teacher], store, CPU)
    learner = Learner(cell, CPU, teacher)
    batch = Batches(cell, learner.task)[0]
    for depth, channels in enumerate((4, 6, 8, 10), 1):
        learner.begin(depth - 1)
        trace = teacher.forward(batch, learner.hints, learner.stage)["stylise"]
        assert {role: x.shape[1] for role, x in trace.hints.items()} == {f"relu{depth}": channels}
        assert trace.look is not None
        again = trace.look(batch["A"], (f"relu{depth}",))[f"relu{depth}"]
        assert torch.equal(again, trace.hints[f"relu{depth}"])
        terms = learner.update(depth, 1e-9, batch, {"stylise": trace})
        assert ("pca_kd_style.perceptual" in terms) == (depth > 1)


def test_it_resumes_to_the_same_bits_from_within_each_stage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut while the bases are derived, and in each block's stage or at its end; in one cohort."""
    found = []
    derive = EigenbasisDistiller.derive
    for cut in (None, 0, 2, 5, 7, 9):
        place = folder / str(cut)
        place.mkdir()
        plan, store = plan_of(place), Store(place / "runs")
        train_teachers(plan, store)
        cells = list(students(plan).values())
        if cut == 0:

            def interrupted(self: Any, role: str, *given: Any) -> None:
                derive(self, role, *given)
                if role == "relu3":
                    raise Interrupted("stopped")

            with monkeypatch.context() as patch:
                patch.setattr(EigenbasisDistiller, "derive", interrupted)
                with pytest.raises(Interrupted):
                    train_together(cells, plan, store)
        elif cut:
            with pytest.raises(Interrupted):
                train_together(cells, plan, store, stop=stop_after(cut))
        train_together(cells, plan, store)
        found.append([store.checkpoint(cell.key).read_bytes() for cell in cells])
    assert all(other == found[0] for other in found[1:])
    plan, store = plan_of(folder), Store(folder / "alone")
    train_teachers(plan, store)
    cell = students(plan)["pca"]  # as in the cohort
    train_together([cell], plan, store)
    assert store.checkpoint(cell.key).read_bytes() == found[0][1]


def test_an_output_is_the_content_in_the_style_under_the_contents_edges(folder: Path) -> None:
    made = {}
    for is_filtered in (True, False):
        given = {"outputs": {"filter": is_filtered, "ridge": 0.5}}
        cell = students(plan_of(folder, **given))["none"]
        (player,) = Learner(cell, CPU, None).students
        player.freeze()
        network: Any = player.generators["stylise"]
        network.variance.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
        (batch,) = outputs(cell, player, "stylise", "test")
        made[is_filtered] = batch
    data = DATASET.load("few_photos:Few", "test")({})
    content, style = (
        torch.from_numpy(np.stack([data.read("test", domain, i, 64) for i in range(3)]))
        .permute(0, 3, 1, 2)
        .float()
        .div(255)
        for domain in "AB"
    )
    with torch.no_grad():
        plain = network.stylise(content, style, 0.5).clamp(0, 1)
        smooth = guided_filter(content, plain.mul(255).floor().div(255)).clamp(0, 1)
    for is_filtered, wanted in ((False, plain), (True, smooth)):
        batch = made[is_filtered]
        torch.testing.assert_close(batch.output, wanted, atol=0.51 / 255, rtol=0)
        torch.testing.assert_close(batch.target, content)  # what it is held against
        torch.testing.assert_close(batch.shown["style"], style)
    assert not torch.equal(made[True].output, made[False].output)


def test_a_network_that_cannot_reconstruct_did_not_train(folder: Path) -> None:
    """By scikit-image's PSNR of what is held out; one that can has no verdict."""
    plan = plan_of(folder)
    cell = students(plan)["none"]
    task = Learner(cell, CPU, None).task
    given = list(items(cell, task, "stylise", "test", 2, CPU))
    assert [len(batch["A"]) for batch in given] == [2, 1]
    contents = torch.cat([batch["A"] for batch in given])
    for noise, is_trained in ((0.3, False), (0.02, True)):
        error = noise * torch.randn(contents.shape, generator=torch.Generator().manual_seed(0))
        network = _Disturbed(contents, error)
        facts = task.facts({"generator": {"stylise": network}}, "stylise", iter(given))
        pairs = zip(contents.numpy(), (contents + error).clamp(-1, 1).numpy(), strict=True)
        wanted = np.mean([peak_signal_noise_ratio(a, b, data_range=2) for a, b in pairs])
        assert facts["reconstruction"] == pytest.approx(wanted, abs=0.01)
        assert ("untrained" not in facts) == is_trained
    assert task.facts({"generator": {"stylise": network}}, "stylise", iter([])) == {}


class _Disturbed:
    """Returns contents with an error."""

    def __init__(self, contents: torch.Tensor, error: torch.Tensor) -> None:
        self.contents, self.error = contents, error

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        places = [int((self.contents - one).abs().sum((1, 2, 3)).argmin()) for one in x]
        return x + self.error[places], {}


def test_outputs_to_imitate_have_no_meaning_and_that_is_said(folder: Path) -> None:
    plan = plan_of(folder, methods={"none": {}, "hinton": {}})
    (entry,) = [e for e in plan.students if e.method == "hinton"]
    assert entry.cell is None
    assert entry.reason.startswith("hinton: while a style transfer trains nothing is stylised")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 24}, "images of 24 px are too small; take 32 or more"),
        ({"size": 68}, "a multiple of 8 pixels, those of photos have 68"),
        (
            {"size": 72, "architectures": ["pca_mobile"], "methods": ["none"]},
            "a multiple of 16 pixels, those of photos have 72",
        ),
        ({"widths": [[5, 4, 5, 6]]}, "'relu1' has 5 channels in the student and 4 in the source"),
        (
            {"architectures": ["pca_mobile"], "methods": {"pca": STYLE["methods"]["pca"]}},
            "of one layout; PCAMobile and RandomVGG are not",
        ),
        ({"widths": [[3, 4, 5]]}, "a width of pca_vgg has 4 numbers"),
        ({"outputs": {"ridge": "much"}}, "expected float like 0.1, found 'much'"),
        ({"outputs": {"ridge": -1.0}}, "outputs: ridge: should be at least 0, found -1.0"),
    ],
)
def test_what_cannot_be_is_said_before_training(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    def planned_and_checked() -> None:
        plan = plan_of(folder, **changes)
        check(plan.cells.values(), plan.cells, print)

    with pytest.raises(SuiteError, match=said):
        planned_and_checked()


@pytest.mark.parametrize(
    ("source", "width", "file"),
    [
        ("vgg19", [64, 128, 256, 512], "vgg19-dcbb9e9d.pth: missing"),
        ("mobilenet", [32, 64, 128, 256], "mobilenet_v1_1.0_224.npz: missing"),
    ],
)
def test_a_source_without_its_file_is_refused_before_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, width: list[int], file: str
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(folder / "home"))
    teacher = {"architecture": source, "width": width, "budget": {"steps": 1}}
    plan = plan_of(folder, teacher=teacher, methods=["ckd"])
    assert source in {c.nets.architecture.name for c in plan.cells.values()}
    with pytest.raises(WeightsError, match=file):
        check(plan.cells.values(), plan.cells, print)


def test_a_suite_runs_scores_and_reports(tmp_path: Path) -> None:
    """From the file to the page: style losses, the source's mEV, sheets of content and style."""
    (tmp_path / "few_photos.py").write_text(FEW)
    runs = Runs(tmp_path, **STYLE)
    drop_judges(runs.suite)
    done = runs("run", "--jobs", "2", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "report"
    report = runs("report", "--out", str(out), "--mlflow", "none")
    assert report.returncode == 0, report.stderr
    table = (out / "tables" / "not_trained.md").read_text()
    for text in ("style loss", "content loss", "SSIM", "| pca |", "| ckd |", "| none |"):
        assert text in table  # after three steps
    assert "features too far from the source's: relu" in table
    table = (out / "tables" / "results.md").read_text()
    assert "| pca [1 not trained] |" in table.replace("\\", "")
    assert "†" not in table
    assert (out / "tables" / "pca_kd_bases.md").exists()
    for figure in ("eigenbasis", "pca_kd_figure_6", "samples-0-stylise"):
        assert (out / "figures" / f"{figure}.pdf").exists()
    samples = {p.stem.rsplit("-", 1)[1] for p in tmp_path.glob("runs/cells/*/samples/*.png")}
    assert samples == {"input", "style", "output"}
    (rows,) = [p.read_text() for p in out.glob("rows.csv")]
    for value in ("share", "unchanged", "recoloured", "level4"):
        assert f",{value}," in rows


def test_a_start_in_closed_form_beats_a_random_one_before_any_step(folder: Path) -> None:
    plan, store = plan_of(folder), Store(folder / "runs")
    train_teachers(plan, store)
    cell = students(plan)["pca"]
    learner = Learner(cell, CPU, open_teacher(plan.cells[cell.teacher], store, CPU))
    network: Any = learner.students[0].generators["stylise"]
    batches = Batches(cell, learner.task)
    image = (batches[0]["A"] + 1) / 2
    with torch.no_grad():
        before = [float((network.block(image, n).image - image).square().mean()) for n in (1, 4)]
        learner.prepare({"stylise": functools.partial(batches.inputs, "stylise", CPU)})
        after = [float((network.block(image, n).image - image).square().mean()) for n in (1, 4)]
    assert after[0] < 0.05 * before[0]
    assert after[1] < 0.5 * before[1]
    weights = {n: x.clone() for n, x in network.state_dict().items()}
    learner.enter(2)  # starts the third pair anew; nothing before it has moved, so it is the same
    for name, x in network.state_dict().items():
        torch.testing.assert_close(x, weights[name])
    network.encoder[1].layers[0][1].weight.data.mul_(1.5)
    learner.enter(2)
    changed = {n for n, x in network.state_dict().items() if not torch.allclose(x, weights[n])}
    assert {".".join(n.split(".")[:2]) for n in changed} == {"encoder.1", "encoder.2", "decoder.2"}
