"""Images that someone else made, scored under a suite's protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from tiny import somewhere, student_cells, tiny_plan, train_together, write_suite

from bench.cli.main import main
from bench.contracts.image import images
from bench.errors import SuiteError
from bench.evaluate.feed import evaluate
from bench.evaluate.generate import open_students, outputs
from bench.plan.cell import Cell, open_dataset
from bench.plan.expand import expand
from bench.plan.scores import image_scores
from bench.plan.suite import load
from bench.store.layout import Store

CPU = torch.device("cpu")
SIDE = 32
METRICS = ["psnr", "ssim", "swd", "band_error"]


def noise(seed: int, width: int = SIDE) -> Image.Image:
    """Return blobs of colour, so that images differ at every scale."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((width, SIDE), Image.Resampling.BICUBIC)


def pairs(folder: Path) -> Path:
    """Write a data set in Pix2Pix's layout, whose names are no places."""
    for split, count in (("train", 3), ("test", 18)):
        (folder / split).mkdir(parents=True)
        for i in range(count):
            pair = Image.new("RGB", (2 * SIDE, SIDE))
            pair.paste(noise(100 + i), (0, 0))
            pair.paste(noise(200 + i), (SIDE, 0))
            pair.save(folder / split / f"im{i:02}.jpg", quality=95)
    return folder


def domains(folder: Path) -> Path:
    """Write a data set in CycleGAN's layout, whose two domains have the same names."""
    for number, split in enumerate(("trainA", "trainB", "testA", "testB")):
        (folder / split).mkdir(parents=True)
        for i in range(3 + number):
            noise(10 * number + i).save(folder / split / f"{i}.png")
    return folder


def trained(folder: Path, **suite: Any) -> tuple[Cell, Store]:
    """Train and score the control of a tiny suite in `folder`."""
    plan = tiny_plan(folder, methods=["none"], metrics=METRICS, **suite)
    (cell,), store = student_cells(plan), Store(folder / "runs")
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    return cell, store


def write_outputs(cell: Cell, store: Store, folder: Path, direction: str = "AtoB") -> Path:
    """Write a student's test outputs as CycleGAN's and Pix2Pix's code names its results."""
    folder = folder / "images"
    folder.mkdir(parents=True)
    (student,) = open_students(cell, store, CPU)
    domain = cell.task.declared.directions[direction][0]
    files = open_dataset(cell.dataset).files("test", domain)
    place = 0
    for batch in outputs(cell, student, direction, "test"):
        for row in range(len(batch.output)):
            shown = {"fake_B": batch.output, "real_A": batch.shown["input"]}
            shown |= {"real_B": batch.target} if batch.target is not None else {}
            for role, pixels in shown.items():
                levels = pixels[row].mul(255).round().byte().permute(1, 2, 0).numpy()
                name = files[place].stem if files else f"{place:03}"
                Image.fromarray(levels).save(folder / f"{name}_{role}.png")
            place += 1
    return folder.parent


def score(*arguments: object) -> Result:
    images.cache_clear()
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def of_suite(folder: Path, outputs: Path, *more: object) -> Result:
    where = ("--suite", folder / "tiny.yaml", "--store", folder / "runs", "--device", "cpu")
    return score(outputs, *where, *more)


def found(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    return {one["id"]: one for one in json.loads(done.stdout)}


def test_a_students_own_outputs_get_its_own_scores_under_their_own_ids(tmp_path: Path) -> None:
    """The whole way: PNG files named as results are, beside their inputs and ground truths."""
    data = pairs(tmp_path / "data")
    cell, store = trained(tmp_path, datasets={"pix2pix_folder": {"path": str(data)}})
    results = write_outputs(cell, store, tmp_path / "results" / "test_latest")
    scores = found(of_suite(tmp_path, results, "--json"))
    own = store.scores(cell.key)
    assert scores.keys() == own.keys()
    assert len(scores) == len(METRICS)
    for name, one in scores.items():
        for what in ("values", "errors", "protocol"):
            assert one.get(what) == own[name].get(what)


def test_both_directions_of_unpaired_data_and_outputs_of_the_wrong_one(tmp_path: Path) -> None:
    data = domains(tmp_path / "data")
    cell, store = trained(tmp_path, datasets={"cyclegan_folder": {"path": str(data)}})
    results = {d: write_outputs(cell, store, tmp_path / d, d) for d in ("AtoB", "BtoA")}
    own = {n: s["values"] for n, s in store.scores(cell.key).items() if s["values"]}
    same: dict[str, Any] = {}
    for direction, folder in results.items():
        scores = found(of_suite(tmp_path, folder, "--direction", direction, "--json"))
        same |= {n: s["values"] for n, s in scores.items() if s["values"]}
    assert same == own
    unsaid = of_suite(tmp_path, results["AtoB"])
    assert unsaid.exit_code == 2
    assert "--direction: say which direction: AtoB or BtoA." in unsaid.stderr
    for file in (data / "testA").iterdir():  # as many of both, so that the names fit
        if not (data / "testB" / file.name).exists():
            file.unlink()
    (data / "testB" / "5.png").unlink()
    wrong = of_suite(tmp_path, results["AtoB"], "--direction", "BtoA")
    assert wrong.exit_code == 2
    assert "0_real_A.png: does not show cyclegan_folder's test image of this name" in wrong.stderr


def test_images_of_a_data_set_without_files_go_by_their_places(tmp_path: Path) -> None:
    cell, store = trained(tmp_path)
    scores = found(of_suite(tmp_path, write_outputs(cell, store, tmp_path / "made"), "--json"))
    assert {n: s["values"] for n, s in scores.items()} == {
        n: s["values"] for n, s in store.scores(cell.key).items()
    }


def test_a_pattern_says_which_files_are_outputs(tmp_path: Path) -> None:
    data = pairs(tmp_path / "data")
    cell, store = trained(tmp_path, datasets={"pix2pix_folder": {"path": str(data)}})
    folder = write_outputs(cell, store, tmp_path / "made") / "images"
    for file in folder.glob("*_fake_B.png"):
        file.rename(folder / f"ours-{file.name.removesuffix('_fake_B.png')}.bmp.png")
    done = of_suite(tmp_path, folder, "--pattern", "ours-*.bmp.png", "--metrics", "psnr", "--json")
    (one,) = found(done).values()
    assert one["values"] == store.scores(cell.key)[one["id"]]["values"]
    for pattern in ("fake.png", "*/*.png", "*_*.png"):
        refused = of_suite(tmp_path, folder, "--pattern", pattern)
        assert refused.exit_code == 2
        assert "one star" in refused.stderr


def spoil(kind: str, folder: Path) -> None:
    if kind == "missing":
        for i in range(10, 17):
            (folder / f"im{i}_fake_B.png").unlink()
    elif kind == "twice":
        Image.open(folder / "im03_fake_B.png").save(folder / "im03_fake_B.jpg")
    elif kind == "size":
        noise(0, 2 * SIDE).save(folder / "im05_fake_B.png")
    elif kind == "damaged":
        file = folder / "im05_fake_B.png"
        file.write_bytes(file.read_bytes()[:-300])
    elif kind == "others":
        for file in folder.iterdir():
            file.rename(folder / f"other{file.name}")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "no output of 7 of 18 test images: im10, im11, im12, im13, im14 and 2 more."),
        ("others", "no output of 18 of 18 test images: im00, im01, im02, im03, im04 and 13 more. "),
        ("twice", "two outputs of one test image: im03_fake_B.jpg and im03_fake_B.png. Keep one."),
        ("size", "1 of 18 images are not 32 x 32 pixels: im05_fake_B.png (64 x 32)."),
        ("damaged", "im05_fake_B.png: cannot be decoded"),
    ],
)
def test_outputs_that_cannot_stand_in_the_table_are_refused_in_a_line(
    tmp_path: Path, kind: str, said: str
) -> None:
    data = pairs(tmp_path / "data")
    tiny_plan(tmp_path, metrics=METRICS, datasets={"pix2pix_folder": {"path": str(data)}})
    folder = tmp_path / "made"
    folder.mkdir()
    for i in range(18):
        noise(i).save(folder / f"im{i:02}_fake_B.png")
    spoil(kind, folder)
    done = of_suite(tmp_path, folder)
    assert done.exit_code == 2
    assert done.stderr.startswith("distillbench: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_metric_whose_judge_the_suite_has_not_trained_says_so_and_others_go_on(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(
        tmp_path,
        datasets=["photo_textures"],
        metrics={"psnr": {}, "miou": {"steps": 2, "width": 2, "batch": 2}},
    )
    folder, store = tmp_path / "made", Store(tmp_path / "runs")
    folder.mkdir()
    for i in range(80):
        noise(i).save(folder / f"{i}.png")
    done = of_suite(tmp_path, folder)
    assert done.exit_code == 0
    assert "psnr" in done.stdout
    assert "miou" not in done.stdout
    assert "is not trained" in done.stderr
    assert "`distillbench run" in done.stderr
    (judge,) = (e.cell for e in plan.entries if e.role == "segmenter" and e.cell)
    train_together([judge], plan, store)
    assert "miou" in of_suite(tmp_path, folder).stdout


def test_a_suite_needs_to_know_which_of_its_data_sets(tmp_path: Path) -> None:
    tiny_plan(tmp_path, datasets=["photo_edges", "photo_textures"])
    done = of_suite(tmp_path, tmp_path)
    assert done.exit_code == 2
    assert "Give --dataset, one of photo_edges, photo_textures." in done.stderr
    done = of_suite(tmp_path, tmp_path, "--dataset", "photo_edge")
    assert "Did you mean 'photo_edges'?" in done.stderr
    done = of_suite(tmp_path, tmp_path, "--dataset", "photo_edges", "--real", tmp_path)
    assert "leave out --real and --target" in done.stderr


def test_pairs_side_by_side_serve_as_targets(tmp_path: Path) -> None:
    made, truth, both = tmp_path / "made", tmp_path / "truth", tmp_path / "both"
    for folder in (made, truth, both):
        folder.mkdir()
    for i in range(3):
        noise(i).save(made / f"{i}.png")
        noise(9 + i).save(truth / f"{i}.png")
        pair = Image.new("RGB", (2 * SIDE, SIDE))
        pair.paste(noise(9 + i), (SIDE, 0))
        pair.save(both / f"{i}.png")
    metrics = ("--metrics", "psnr,swd", "--device", "cpu")
    alone = score(made, "--target", truth, "--real", truth, *metrics)
    assert alone.exit_code == 0, alone.output
    side = score(made, "--target", both, "--real", both, *metrics)
    assert side.stdout == alone.stdout
    assert "the right half of each image is taken" in side.stderr
    halves = [
        score(made, "--target", both, "--direction", way, "--metrics", "psnr", "--json").stdout
        for way in ("AtoB", "BtoA")
    ]
    targets = {json.loads(text)[0]["protocol"]["target"] for text in halves}
    assert len(targets) == 2  # other ground truths are another protocol
    typo = score(made, "--target", both, "--direction", "BtoaA", "--metrics", "psnr")
    assert (typo.exit_code, "it is AtoB or BtoA" in typo.stderr) == (2, True)
    black = score(made, "--target", both, "--direction", "BtoA", "--metrics", "psnr")
    dark = [np.asarray(noise(i), np.float64) / 255 for i in range(3)]
    expected = np.mean([-10 * np.log10(np.square(x).mean()) for x in dark])
    assert float(black.stdout.split()[1]) == pytest.approx(expected, abs=1e-5)


def test_a_folder_of_results_holds_its_own_ground_truth(tmp_path: Path) -> None:
    folder = tmp_path / "test_latest" / "images"
    folder.mkdir(parents=True)
    for i in range(3):
        noise(i).save(folder / f"{i}_real_A.png")
        noise(i + 50).save(folder / f"{i}_fake_B.png")
        noise(i + 50).save(folder / f"{i}_real_B.png")
    done = score(folder.parent, "--target", folder.parent, "--metrics", "psnr", "--device", "cpu")
    assert done.stdout.split()[:2] == ["psnr", "100.000000"]
    assert "3 of 9 images, *_fake_B" in done.stderr


def command(verb: str, folder: Path, *more: str) -> Result:
    images.cache_clear()
    suite, store = str(folder / "tiny.yaml"), str(folder / "runs")
    return CliRunner().invoke(main, [verb, suite, "--store", store, *more])


def run(folder: Path, *more: str) -> Result:
    return command("run", folder, "--mlflow", "none", "--jobs", "1", "--device", "cpu", *more)


def results(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return method -> its scores in the main table, and the notes beneath."""
    done = command("report", folder, "--out", str(folder / "report"), "--mlflow", "none")
    assert done.exit_code == 0, done.output
    lines = (folder / "report" / "tables" / "results.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    header = cells[0].index("Method")
    return {row[header]: row[header + 1 :] for row in cells[2:]}, [
        x for x in lines if x.startswith("- ")
    ]


def test_rows_of_images_stand_in_the_table_under_its_protocol_and_in_nothing_else(
    tmp_path: Path,
) -> None:
    """A row per seed and one without: the values of the student whose outputs these are."""
    data = pairs(tmp_path / "data")
    keys = {"datasets": {"pix2pix_folder": {"path": "data"}}, "seeds": [0, 1], "metrics": METRICS}
    own = {"none": {}, "hinton": {}}
    plan, store = tiny_plan(tmp_path, methods=own, **keys), Store(tmp_path / "runs")
    assert run(tmp_path).exit_code == 0
    controls = {e.seed: e.cell for e in plan.students if e.method == "none" and e.cell}
    for seed, cell in controls.items():
        write_outputs(cell, store, tmp_path / "results" / str(seed))
    theirs = {"images": "results/{seed}", "label": "Their GAN"}
    once = {"images": "results/0/images", "pattern": "*_fake_B.png"}
    plan = tiny_plan(tmp_path, methods={**own, "theirs": theirs, "once": once}, **keys)
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert done.stdout == "tiny: 0 trained, 5 cached; 8 done\n"
    assert run(tmp_path).stdout == "tiny: 0 trained, 7 cached; 8 done\n"
    given = [e for e in plan.entries if e.role == "given"]
    assert [(e.method, e.seed) for e in given] == [("theirs", 0), ("theirs", 1), ("once", 0)]
    for entry in given:
        assert entry.cell is not None
        like = store.scores(controls[entry.seed].key)
        scores = store.scores(entry.cell.key)
        assert scores.keys() == like.keys()
        for name, one in scores.items():
            for what in ("values", "errors", "protocol"):
                assert one.get(what) == like[name].get(what)
        samples = store.folder(entry.cell.key) / "samples"
        assert len(list(samples.glob("*.png"))) == 3 * 5  # input, output, target
    table, notes = results(tmp_path)
    assert table["Their GAN ‡"] == table["none"]
    assert len(table["once ‡"]) == len(table["none"])
    assert all("±" in cell for cell in table["Their GAN ‡"])
    assert not any("±" in cell for cell in table["once ‡"])
    assert any(
        n.startswith("- ‡ Their GAN: not trained here: images results/0 (sha256") for n in notes
    )
    for name in ("gains", "significance"):
        assert "Their GAN" not in (tmp_path / "report" / "tables" / f"{name}.md").read_text()
    verified = command(
        "verify", tmp_path, "--only", "method=theirs", "--only", "dataset=pix2pix_folder"
    )
    assert verified.exit_code == 0
    assert "nothing to repeat" in verified.stdout
    assert "  given  " in verified.stdout
    assert "same bits" not in verified.stdout
    noise(1).save(tmp_path / "results" / "0" / "images" / "im00_fake_B.png")
    assert data.exists()
    planned = command("plan", tmp_path).stdout
    assert planned.count("not trained here: ") == 2  # another image is another cell


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"images": "nowhere"}, "nowhere: no such folder."),
        ({"images": "made"}, "no output of 1 of 18 test images: im17."),
        ({"images": {"BtoA": "made"}}, "unknown direction 'BtoA'"),
        ({"images": "made", "pattern": "fake"}, "pattern 'fake': expected a file name with one"),
        ({"images": "made", "weights": "x.pth"}, "give either weights or images"),
        ({"images": "made", "width": 16}, "width is for weights; images have none"),
        ({"images": "made", "dataset": "maps"}, "unknown dataset 'maps'"),
        ({"images": "made", "patern": "x"}, "methods.theirs: unknown key 'patern'. Did you mean"),
        ({"images": {}}, "give either weights or images"),
    ],
)
def test_a_row_that_cannot_be_had_is_refused_before_anything_is_trained(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    pairs(tmp_path / "data")
    (tmp_path / "made").mkdir()
    for i in range(17):
        noise(i).save(tmp_path / "made" / f"im{i:02}.png")
    own: dict[str, Any] = {"methods": {"none": {}, "theirs": row}, "metrics": METRICS}
    write_suite(tmp_path, datasets={"pix2pix_folder": {"path": "data"}}, **own)
    done = run(tmp_path)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_inputs_of_another_data_set_stop_a_run_before_it_trains(tmp_path: Path) -> None:
    pairs(tmp_path / "data")
    (tmp_path / "made").mkdir()
    for i in range(18):
        for role in ("fake_B", "real_A"):
            noise(500 + i).save(tmp_path / "made" / f"im{i:02}_{role}.png")
    own: dict[str, Any] = {"methods": {"none": {}, "theirs": {"images": "made"}}}
    write_suite(tmp_path, datasets={"pix2pix_folder": {"path": "data"}}, metrics=METRICS, **own)
    done = run(tmp_path)
    assert done.exit_code == 2
    assert "im00_real_A.png: does not show pix2pix_folder's test image" in done.stderr
    assert not list((tmp_path / "runs").glob("cells/*/spec.json"))


def test_images_of_one_direction_leave_a_hole_in_the_other(tmp_path: Path) -> None:
    domains(tmp_path / "data")
    (tmp_path / "made").mkdir()
    for i in range(5):
        noise(70 + i).save(tmp_path / "made" / f"{i}.png")
    theirs = {"images": {"AtoB": "made"}}
    own: dict[str, Any] = {"methods": {"none": {}, "theirs": theirs}, "metrics": ["swd"]}
    plan = tiny_plan(tmp_path, datasets={"cyclegan_folder": {"path": "data"}}, **own)
    (cell,) = (e.cell for e in plan.entries if e.role == "given" and e.cell)
    found = list(image_scores(cell, plan.metrics))
    assert [(w.direction, w.reason) for w in found] == [
        ("AtoB", ""),
        ("BtoA", "no images BtoA were given"),
    ]
    both = {"none": {}, "theirs": {"images": "made"}}
    write_suite(tmp_path, datasets={"cyclegan_folder": {"path": "data"}}, **own | {"methods": both})
    refused = run(tmp_path)
    assert "methods.theirs.images: say which direction: AtoB or BtoA." in refused.stderr


def test_a_suite_that_tunes_has_no_trials_of_images(tmp_path: Path) -> None:
    (tmp_path / "data" / "val").mkdir(parents=True)
    for i in range(2):
        noise(i, 2 * SIDE).save(tmp_path / "data" / "val" / f"{i}.png")
    pairs(tmp_path / "data")
    (tmp_path / "made").mkdir()
    for i in range(18):
        noise(i).save(tmp_path / "made" / f"im{i:02}.png")
    plan = tiny_plan(
        tmp_path,
        datasets={"pix2pix_folder": {"path": "data"}},
        methods={"none": {}, "hinton": {}, "theirs": {"images": "made"}},
        tune={"trials": 2, "by": "psnr", "seeds": [7]},
    )
    assert plan.trials is not None
    tried = {e.method for e in plan.trials.entries if e.role == "trial"}
    assert {method.partition(" ")[0] for method in tried} == {"hinton"}
    assert [e.method for e in plan.entries if e.role == "given"] == ["theirs"]


def test_the_key_of_given_images_holds_what_decides_their_scores(tmp_path: Path) -> None:
    """Their contents and whose outputs they are; no place, no network, no budget, no seed."""
    pairs(tmp_path / "data")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(18):
            noise(i).save(tmp_path / name / f"im{i:02}{'_fake_B' * (name == 'two')}.png")
    keys: dict[str, Any] = {"datasets": {"pix2pix_folder": {"path": "data"}}, "metrics": METRICS}

    def key(folder: str, **more: Any) -> str:
        images.cache_clear()
        methods = {"none": {}, "theirs": {"images": folder}}
        plan = tiny_plan(tmp_path, methods=methods, **keys | more)
        (cell,) = (e.cell for e in plan.entries if e.role == "given" and e.cell)
        return cell.key

    first = key("one")
    assert key("two") == first
    assert key("one", widths=[4], seeds=[3], budget={"steps": 9, "batch": 1}) == first
    noise(99).save(tmp_path / "two" / "im03_fake_B.png")
    assert key("two") != first


def test_a_spread_is_of_folders_that_differ_from_seed_to_seed(tmp_path: Path) -> None:
    domains(tmp_path / "data")
    counts = {"AtoB": 5, "BtoA": 6}
    for i, name in enumerate(("ab0", "ab1", "ba0", "ba1")):
        (tmp_path / name).mkdir()
        for k in range(counts["AtoB" if i < 2 else "BtoA"]):
            noise((70 if i >= 2 else 70 + 10 * i) + k).save(tmp_path / name / f"{k}.png")
    keys: dict[str, Any] = {"datasets": {"cyclegan_folder": {"path": "data"}}, "seeds": [0, 1]}

    def planned(**folders: str) -> list[int]:
        methods = {"none": {}, "theirs": {"images": folders}}
        plan = tiny_plan(tmp_path, methods=methods, metrics=["swd"], **keys)
        return [e.seed for e in plan.entries if e.role == "given"]

    assert planned(AtoB="ab{seed}") == [0, 1]
    assert planned(AtoB="ab0", BtoA="ba0") == [0]
    with pytest.raises(SuiteError, match=r"write \{seed\} into all of ab\{seed\}, ba0, or into"):
        planned(AtoB="ab{seed}", BtoA="ba0")
    with pytest.raises(SuiteError, match="ba1: of seed 1, has the contents of seed 0"):
        planned(AtoB="ab{seed}", BtoA="ba{seed}")


@pytest.mark.parametrize(
    ("shown", "ending", "is_refused"),
    [
        ("the same", "_real_A.png", False),
        ("the same", "_real_A.jpg", False),
        ("the same, twice as large", "_real_A.png", False),
        ("a cut", "_real_A.png", True),
        ("others", "_real_A.jpg", True),
        ("others", "_input_label.jpg", True),
        ("the same", "_input_label.jpg", False),
    ],
)
def test_inputs_beside_outputs_are_those_of_the_suite(
    tmp_path: Path, shown: str, ending: str, is_refused: bool
) -> None:
    data, made = pairs(tmp_path / "data"), tmp_path / "made"
    made.mkdir()
    output = "_synthesized_image.jpg" if "label" in ending else "_fake_B.png"
    for i in range(18):
        noise(i).save(made / f"im{i:02}{output}")
        source = Image.open(data / "test" / f"im{i:02}.jpg").crop((0, 0, SIDE, SIDE))
        if shown == "a cut":
            source = source.crop((2, 2, SIDE - 2, SIDE - 2)).resize((SIDE, SIDE))
        elif shown == "others":
            source = noise(500 + i)
        elif shown != "the same":
            source = source.resize((2 * SIDE, 2 * SIDE))
        source.save(made / f"im{i:02}{ending}")
    tiny_plan(tmp_path, datasets={"pix2pix_folder": {"path": str(data)}})
    done = of_suite(tmp_path, made)
    assert done.exit_code == (2 if is_refused else 0), done.output
    assert ("does not show pix2pix_folder's test image" in done.stderr) == is_refused


def test_whose_images_they_are_nobody_can_tell_without_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path / "home"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    theirs = {name: {"images": {"AtoB": name}} for name in ("one", "two")}
    suite = write_suite(
        tmp_path,
        datasets=["horse2zebra"],
        architectures=["resnet9"],
        methods={"none": {}, **theirs},
    )
    plan = expand(load(suite), elsewhere=somewhere)
    given = [(e.method, e.cell, e.reason) for e in plan.entries if e.role == "given"]
    why = "the images of horse2zebra are not on this machine"
    assert given == [("one", None, why), ("two", None, why)]
    planned = command("plan", tmp_path)
    assert planned.exit_code == 0, planned.output
    assert why in planned.stdout


def test_a_suite_whose_rows_are_all_given_has_a_protocol_too(tmp_path: Path) -> None:
    data, made = pairs(tmp_path / "data"), tmp_path / "made"
    made.mkdir()
    for i in range(18):
        noise(i).save(made / f"im{i:02}.png")
    datasets = {n: {"dataset": "pix2pix_folder", "path": str(data)} for n in ("maps", "others")}
    keys: dict[str, Any] = {"datasets": datasets, "teacher": None}
    theirs = {"theirs": {"images": "made", "dataset": "maps"}}
    alone, beside = (
        found(of_suite(tmp_path, made, "--dataset", "maps", "--json"))
        for methods in (theirs, {"none": {}} | theirs)
        if tiny_plan(tmp_path, methods=methods, **keys)
    )
    assert alone.keys() == beside.keys()
    tiny_plan(tmp_path, methods=theirs, **keys)
    done = of_suite(tmp_path, made, "--dataset", "others")
    assert (done.exit_code, "no row of methods is of it" in done.stderr) == (2, True)
