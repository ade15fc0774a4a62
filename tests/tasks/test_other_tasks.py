"""The contract of a task fits generators that do not translate: one that denoises, one of stages.

Both live in files of their own beside the tests, as a user's would.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import denoising
import numpy as np
import pytest
import torch
from harness import Runs
from PIL import Image
from test_train import stop_after
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench.errors import Interrupted, PluginError, SuiteError
from bench.evaluate.generate import outputs
from bench.plan.cell import Cell
from bench.plan.scores import image_scores
from bench.plugins.source import ROOT
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.learner import Learner
from bench.train.loop import open_teacher

CPU = torch.device("cpu")

DENOISING: dict[str, Any] = {
    "datasets": {"photos": {"dataset": "denoising:Photos"}},
    "architectures": {"denoiser": {"architecture": "denoising:Denoiser"}},
    "methods": {
        "none": {},
        "imitate": {"method": "denoising:Imitate"},
        "online": {"method": "denoising:Imitate", "teacher": {"mode": "online"}},
        "wkd": {},
    },
    "widths": [2],
    "seeds": [0],
    "size": 32,
    "budget": {"steps": 120, "batch": 2, "lr": 2e-3},
    "teacher": {"width": 4, "budget": {"steps": 60}},
    "metrics": ["swd", "psnr", "params", "macs"],
}
RECOLOURING: dict[str, Any] = {
    "datasets": {"photos": {"dataset": "recolouring:Photos"}},
    "architectures": {"codec": {"architecture": "recolouring:RecolourNet"}},
    "methods": {"none": {}, "codes": {"method": "recolouring:Codes"}},
    "widths": [[2, 3], [3, 5]],
    "seeds": [0],
    "size": 32,
    "budget": {"steps": 60, "batch": 2, "lr": 2e-3},
    "stages": {"decode": {"steps": 90, "lr": 1e-3}},
    "teacher": {"width": [4, 6], "budget": {"steps": 40}},
    "metrics": ["swd", "psnr", "ssim", "params", "macs"],
}
SUITES = {"denoising": DENOISING, "recolouring": RECOLOURING}
EVERY = pytest.mark.parametrize("name", SUITES)


class Other(Runs):
    """Runs of a suite that names no discriminator's width."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, **SUITES[name])
        drop_judges(self.suite)


def drop_judges(suite: Path) -> None:
    """Remove the one key of the tiny suite that such a suite must not have."""
    suite.write_text(re.sub(r"discriminator_widths:\n- \d+\n", "", suite.read_text()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runs]:
    """Both suites, run undisturbed by one worker."""
    found = {}
    for name in SUITES:
        runs = Other(tmp_path_factory.mktemp(name), name)
        done = runs("run", "--jobs", "1", "--mlflow", "none")
        assert done.returncode == 0, done.stderr
        found[name] = runs
    return found


@EVERY
def test_a_killed_run_ends_with_the_same_weights_losses_and_scores(
    tmp_path: Path, whole: dict[str, Runs], name: str
) -> None:
    killed = Other(tmp_path / "killed", name)
    for _ in range(3):
        process = killed.start("run", "--jobs", "2", "--mlflow", "none", "--checkpoint-every", "0")
        seen, deadline = killed.progress(), time.monotonic() + 3000
        while killed.progress() <= seen + 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.communicate()
    done = killed("run", "--jobs", "2", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    assert killed.results() == whole[name].results()
    assert len(killed.results()) == {"denoising": 4, "recolouring": 5}[name]


@EVERY
def test_a_second_run_trains_nothing_and_repeats_verify(whole: dict[str, Runs], name: str) -> None:
    again = whole[name]("run", "--mlflow", "none")
    assert ": 0 trained, " in again.stdout
    verified = whole[name]("verify")
    assert verified.returncode == 0, verified.stdout
    assert "DIFFERS" not in verified.stdout


@EVERY
def test_the_report_has_its_table_and_its_samples(whole: dict[str, Runs], name: str) -> None:
    out = whole[name].folder / "report"
    done = whole[name]("report", "--out", str(out), "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    assert whole[name]("sync").returncode == 0  # MLflow takes such cells too
    table = (out / "tables" / "results.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    if name == "denoising":
        assert "images are made from noise" in table  # why there is no PSNR
        assert "made from noise, samples 6, steps 3" in table.replace(", batch 4", "")
        assert "skipped" in (out / "tables" / "status.md").read_text()  # wkd translates
    else:
        assert any(" 2-3 " in row for row in rows)
        assert any(" 3-5 " in row for row in rows)
    assert any("teacher" in row for row in rows)
    assert (out / "index.html").stat().st_size > 10_000
    samples = {p.name for p in whole[name].folder.glob("runs/cells/*/samples/*.png")}
    roles = {stem.rsplit("-", 1)[1] for stem in (Path(n).stem for n in samples)}
    assert roles == ({"output"} if name == "denoising" else {"input", "style", "output"})


def test_nothing_in_the_project_knows_these_tasks() -> None:
    names = re.compile(r"denoising:|recolouring:|Denoise\b|Recolour|Imitate\b")
    for folder in ("bench", "baselines", "reports"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not names.search(path.read_text()), path


def plan_of(folder: Path, name: str, **changes: Any) -> Any:
    """Return a plan of one of the suites."""
    from tiny import write_suite

    from bench.plan.expand import expand
    from bench.plan.suite import load

    suite = write_suite(folder, **SUITES[name] | changes)
    drop_judges(suite)
    return expand(load(suite))


def cell_of(folder: Path, name: str, method: str = "none", **changes: Any) -> Cell:
    found = [e.cell for e in plan_of(folder, name, **changes).students if e.method == method]
    assert found[0] is not None
    cell: Cell = found[0]
    return cell


def test_noise_and_time_are_the_same_for_all_and_new_at_every_step(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "denoising")
    cells = [e.cell for e in plan.students if e.cell]
    assert len({cell.batches for cell in cells}) == 1
    one, other = (Batches(cell, Learner(cell, CPU, None).task) for cell in cells[::2])
    for step in (0, 7):
        assert all(torch.equal(one[step][k], other[step][k]) for k in ("A", "noise", "time"))
        assert one[step]["time"].shape == (2,)
    assert not torch.equal(one[0]["noise"], one[1]["noise"])
    longer = cell_of(tmp_path, "denoising", task={"most": 0.5})
    assert longer.batches != cells[0].batches  # what is drawn depends on it


def test_averages_follow_by_hand_and_are_what_is_kept(tmp_path: Path) -> None:
    """The average after the first steps, by hand; a resumed learner goes on with both."""
    cell = cell_of(tmp_path, "denoising")
    learner = Learner(cell, CPU, None)
    (player,) = learner.students
    batches, expected = Batches(cell, learner.task), player.generators["sample"].state_dict()
    expected = {name: x.clone() for name, x in expected.items()}
    for step in range(3):
        learner.update(step, 1e-2, batches[step], None)
        decay = (1 + step) / (10 + step)
        for name, x in player.generators["sample"].state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * x
    kept = learner.networks()
    for name, x in expected.items():
        torch.testing.assert_close(kept[f"student0.generator.sample.{name}"], x)
    raw = player.modules.state_dict()["generator.sample.last.weight"]
    assert not torch.equal(raw, kept["student0.generator.sample.last.weight"])
    again = Learner(cell, CPU, None)
    again.load({name: x.clone() for name, x in learner.state().items()})
    for one in (learner, again):
        one.update(3, 1e-2, batches[3], None)
    assert all(
        torch.equal(a, b)
        for a, b in zip(*(x.networks().values() for x in (learner, again)), strict=True)
    )


def test_samples_do_not_depend_on_the_batch_and_the_seed_and_say_how_they_were_made(
    tmp_path: Path,
) -> None:
    wanted, made = [], []
    for batch in (1, 4):
        cell = cell_of(tmp_path, "denoising", outputs={"batch": batch}, seeds=[batch])
        (player,) = Learner(cell, CPU, None).students
        for weight in player.generators.parameters():
            torch.nn.init.constant_(weight, 0.01)
        player.restart_average()
        made.append(torch.cat([b.output for b in outputs(cell, player, "sample", "test")]))
        (score,) = (
            s
            for s in image_scores(cell, plan_of(tmp_path, "denoising").metrics)
            if s.metric.name == "swd"
        )
        wanted.append(score)
    assert made[0].shape == (6, 3, 32, 32)
    torch.testing.assert_close(made[0], made[1], atol=1.01 / 255, rtol=0)
    protocol = wanted[0].protocol
    assert protocol["made from"] == "noise"
    assert (protocol["split"], protocol["images"], protocol["real images"]) == ("train", 6, 20)
    assert (protocol["samples"], protocol["batch"], protocol["steps"]) == (6, 1, 3)
    assert wanted[0].id != wanted[1].id


def test_how_samples_are_made_is_no_part_of_a_cells_key(tmp_path: Path) -> None:
    few, many = (cell_of(tmp_path, "denoising", outputs={"samples": n}).key for n in (6, 8))
    assert few == many
    with pytest.raises(
        SuiteError, match=r"outputs: unknown choice 'sampels'. Did you mean 'samples'"
    ):
        plan_of(tmp_path, "denoising", outputs={"sampels": 6})
    with pytest.raises(SuiteError, match="expected int like 6, found 'many'"):
        plan_of(tmp_path, "denoising", outputs={"samples": "many"})


def test_a_stage_moves_its_own_part_and_has_its_own_budget(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        "recolouring",
        widths=[[2, 3]],
        budget={"steps": 4, "batch": 2, "lr": 0.01},
        stages={"decode": {"steps": 3, "batch": 1}},
    )
    (cell,) = (e.cell for e in plan.students if e.method == "none")
    assert [(b.steps, b.batch) for b in cell.budgets] == [(4, 2), (3, 1)]
    learner = Learner(cell, CPU, None)
    network = learner.students[0].generators["recolour"]
    first, second = (Batches(cell, learner.task, stage) for stage in (0, 1))
    assert (len(first[0]["A"]), len(second[0]["A"])) == (2, 1)
    assert not torch.equal(first[0]["A"][:1], second[0]["A"])
    for stage, batch, moved in ((0, first[0], "encoder"), (1, second[0], "decoder")):
        learner.begin(stage)
        before = {n: x.clone() for n, x in network.state_dict().items()}
        terms = learner.update(4 * stage, 0.01, batch, None)
        assert set(terms) == {("blurred", "image")[stage]}
        changed = {
            n.split(".")[0]
            for n, x in network.state_dict().items()
            if not torch.equal(x, before[n])
        }
        assert changed == {moved}


def test_losses_and_learning_rates_follow_the_stages(tmp_path: Path) -> None:
    changes = {
        "widths": [[2, 3]],
        "methods": ["none"],
        "budget": {"steps": 20, "batch": 2, "lr": 0.01},
        "stages": {"decode": {"steps": 10, "lr": 0.1}},
    }
    plan = plan_of(tmp_path, "recolouring", **changes)
    (cell,) = (e.cell for e in plan.students)
    store = Store(tmp_path / "runs")
    train_together([cell], plan, store)
    rows = store.losses(cell.key)
    assert [row["step"] for row in rows] == [10, 20, 30]
    assert [set(row["losses"]) for row in rows] == [{"blurred"}, {"blurred"}, {"image"}]
    from bench.plan.learning_rate import schedule_of

    schedule = schedule_of(cell)
    assert (schedule.steps, schedule.starts) == (30, (0, 20))
    assert [schedule.lr(s) for s in (0, 9, 20, 24)] == [0.01, 0.01, 0.1, 0.1]
    assert schedule.lr(19) == pytest.approx(0.01 / 11)
    tensors, _ = checkpoint.load(store.checkpoint(cell.key))
    assert not [name for name in tensors if "discriminator" in name]


def test_pairs_of_images_make_the_outputs(whole: dict[str, Runs]) -> None:
    folder = next(whole["recolouring"].folder.glob("runs/cells/*/samples"))
    from denoising import PhotoEdges

    for number, index in enumerate((0, 1, 2, 3, 4)):
        for role, place in (("input", index), ("style", 5 - index)):
            found = np.asarray(Image.open(folder / f"recolour-{number}-{role}.png"))
            assert np.array_equal(found, PhotoEdges({}).read("test", "B", place, 32)), (
                number,
                role,
            )


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (
            "denoising",
            {"stages": {"decode": {"steps": 3}}},
            "stages: unknown stage 'decode'. Known: train",
        ),
        ("recolouring", {"stages": {"decoed": {"steps": 3}}}, "Did you mean 'decode'"),
        ("recolouring", {"widths": [8]}, "a width of codec has 2 numbers, found 8"),
        ("denoising", {"widths": [[2, 3]]}, r"a width of denoiser has one number, found \[2, 3\]"),
        ("recolouring", {"teacher": {"width": 4}}, "a width of codec has 2 numbers, found 4"),
        ("denoising", {"select": {"best_on_val": "psnr"}}, "psnr needs a ground truth"),
        ("denoising", {"outputs": {"samples": 0}}, "samples: should be at least 1, found 0"),
        ("denoising", {"outputs": {"batch": -1}}, "batch: should be at least 1, found -1"),
        ("recolouring", {"stages": {"decode": {"stepz": 3}}}, "Did you mean 'steps'"),
        ("recolouring", {"widths": [2, 3]}, r"has 2 numbers, found 2. Write \[8, 8\]."),
    ],
)
def test_what_such_a_suite_says_wrong_is_said_before_training(
    tmp_path: Path, name: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(SuiteError, match=said):
        plan_of(tmp_path, name, **changes)


def test_a_suite_without_an_adversary_names_no_discriminators_width(tmp_path: Path) -> None:
    said = "nobody discriminates in denoising:Denoise; remove the key"
    with pytest.raises(SuiteError, match=f"tiny.yaml: discriminator_widths: {said}"):
        tiny_plan(tmp_path, **DENOISING)
    teacher = {"width": 4, "discriminator_width": 8}
    with pytest.raises(SuiteError, match=f"tiny.yaml: teacher.discriminator_width: {said}"):
        plan_of(tmp_path, "denoising", teacher=teacher)


def test_a_cell_without_an_adversary_says_nothing_of_one(tmp_path: Path) -> None:
    nets = json.loads(cell_of(tmp_path, "denoising").canonical)["nets"]
    assert set(nets) == {"architecture", "width"}
    translating = json.loads(by_method(tiny_plan(tmp_path))["none"].canonical)
    assert set(translating["nets"]) == {
        "architecture",
        "width",
        "discriminator",
        "discriminator_width",
    }
    assert "later" not in translating


class Faulty(denoising.Denoise):
    """Its outputs cannot be made."""

    def make(self, *_: Any) -> Any:
        """Fail."""
        raise ValueError("no samples today")


class NoSamples(denoising.Denoise):
    """It says not how many samples there are."""

    outputs = {"batch": 4}


class Misnamed(denoising.Denoise):
    """Its stage moves what no player has."""

    stages = {"train": {"generator": ("generater",)}}


class Partless(denoising.Denoise):
    """Its stage moves a part that the architecture has not."""

    stages = {"train": {"generator": ("generator.encoder",)}}


class Judged(denoising.Denoise):
    """It has an adversary, and says not which."""

    networks = ("generator", "discriminator")


class Abroad(denoising.Denoise):
    """It reads a domain that the data have not."""

    directions = {"sample": ("", "B")}


def photos_of(folder: Path, task: str) -> dict[str, Any]:
    """Write a data set for one of these tasks; return what a suite says of it."""
    text = 'import denoising\n\n\nclass Photos(denoising.Photos):\n    """Photos."""\n\n'
    folder.mkdir(exist_ok=True)
    module = f"of_{task.lower()}"
    (folder / f"{module}.py").write_text(f"{text}    task = 'test_other_tasks:{task}'\n")
    return {"datasets": {"photos": {"dataset": f"{module}:Photos"}}, "methods": ["none"]}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("NoSamples", "task test_other_tasks:NoSamples makes images from noise, but no `samples`"),
        ("Judged", "has an adversary, but no parameter `discriminator`"),
        ("Misnamed", "moves 'generater'; a player has generator"),
        ("Partless", "moves 'generator.encoder', and Denoiser has no 'encoder'"),
        ("Abroad", r"reads domain B, and .* has \['A'\]"),
    ],
)
def test_a_task_that_cannot_be_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, said: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    changes = photos_of(tmp_path, task)

    def planned_and_checked() -> None:
        plan = plan_of(tmp_path, "denoising", **changes)
        check(plan.cells.values(), {}, print)

    with pytest.raises(PluginError, match=said):
        planned_and_checked()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_outputs_that_cannot_be_made_stop_no_other_cell_and_are_an_error(
    tmp_path: Path, jobs: str
) -> None:
    changes = photos_of(tmp_path, "Faulty") | {"seeds": [0, 1], "budget": {"steps": 3}}
    runs = Runs(tmp_path, **DENOISING | changes)
    drop_judges(runs.suite)
    done = runs("run", "--jobs", jobs, "--mlflow", "none")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("tiny: 2 trained")
    assert done.stderr.count("it was trained, but not scored: ValueError: no samples") >= 2


def test_averages_are_in_snapshots_and_teach(tmp_path: Path) -> None:
    """What a snapshot keeps at the end, and what a frozen teacher teaches, is the average."""
    changes = {"snapshots": {"times": 2, "metrics": ["swd"]}, "budget": {"steps": 6, "batch": 2}}
    plan = plan_of(tmp_path, "denoising", methods={"none": {}}, **changes)
    (cell,) = plan.cells.values()
    store = Store(tmp_path / "runs")
    train_together([cell], plan, store)
    kept, _ = checkpoint.load(store.checkpoint(cell.key))
    snapshot, _ = checkpoint.load(store.snapshot(cell.key, 6))
    assert all(torch.equal(kept[name], x) for name, x in snapshot.items())
    teacher = open_teacher(cell, store, CPU)
    for name, x in teacher.generators.state_dict().items():
        assert torch.equal(x, kept[f"student0.generator.{name}"])


def test_stages_resume_to_the_same_bits_wherever_they_are_cut(tmp_path: Path) -> None:
    """Within the first stage, at its end, and within the second; in one cohort."""
    changes: dict[str, Any] = {
        "widths": [[2, 3]],
        "methods": {"codes": {"method": "recolouring:Codes"}, "none": {}},
        "budget": {"steps": 5, "batch": 2},
        "stages": {"decode": {"steps": 4, "batch": 1}},
        "teacher": {"width": [4, 6], "budget": {"steps": 3, "batch": 2}},
        "snapshots": {"times": 3, "metrics": ["psnr"]},
    }
    found = []
    for cut in (None, 3, 5, 7):
        folder = tmp_path / str(cut)
        folder.mkdir()
        plan, store = plan_of(folder, "recolouring", **changes), Store(folder / "runs")
        train_teachers(plan, store)
        cells = [e.cell for e in plan.students if e.cell]
        if cut:
            with pytest.raises(Interrupted):
                train_together(cells, plan, store, stop=stop_after(cut))
        train_together(cells, plan, store)
        files = [f for c in cells for f in (store.checkpoint(c.key), store.snapshot(c.key, 3))]
        found.append([file.read_bytes() for file in files])
    assert all(other == found[0] for other in found[1:])


def test_a_preparation_is_fed_what_generators_are_fed(tmp_path: Path) -> None:
    """Of every domain that a task's inputs read, uncropped and in order."""
    (cell,) = by_method(tiny_plan(tmp_path, methods=["none"])).values()
    task = Learner(cell, CPU, None).task
    batches = Batches(cell, task)
    both = SimpleNamespace(
        directions=task.directions,
        inputs=lambda direction, batch: (batch["A"], batch["B"]),
        draw=task.draw,
    )
    batches.task = both  # type: ignore[assignment]
    found = list(batches.inputs("AtoB", CPU))
    assert sum(len(a) for a, _ in found) == batches.counts["A"]
    from bench.train.batches import normalise

    data = batches.dataset
    for number, domain in enumerate("AB"):
        assert torch.equal(found[0][number][1], normalise(data.read("train", domain, 1, 32)))
