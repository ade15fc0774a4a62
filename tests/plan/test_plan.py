"""Cells, keys, seeds and the DAG: equal keys mean equal runs, and planning is instant."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import by_method, tiny_plan, write_suite

from bench.contracts.kinds import METRIC
from bench.errors import SuiteError
from bench.plan.cell import SOME, Cell
from bench.plan.expand import expand
from bench.plan.matrix import cohorts
from bench.plan.only import parse_only
from bench.plan.suite import load


def fault(folder: Path, **changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        tiny_plan(folder, **changes)
    return str(caught.value)


def key(folder: Path, method: str = "wkd", **changes: Any) -> str:
    return by_method(tiny_plan(folder, **changes))[method].key


def test_every_place_of_the_matrix_has_a_cell(tmp_path: Path) -> None:
    plan = tiny_plan(
        tmp_path, widths=[2, 3], seeds=[0, 1, 2], datasets=["photo_edges", "photo_textures"]
    )
    assert len(plan.students) == 3 * 2 * 3 * 2
    teachers = [e for e in plan.entries if e.role == "teacher"]
    assert [e.dataset for e in teachers] == ["photo_edges", "photo_textures"]
    assert len(plan.cells) == 36 + 2


def test_teachers_come_first_and_once(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, seeds=[0, 1])
    order = list(plan.order().static_order())
    assert len(order) == len(set(order)) == 7
    for cell in plan.cells.values():
        if cell.teacher:
            assert order.index(cell.teacher) < order.index(cell.key)


def test_the_key_is_what_decides_the_numbers_and_nothing_else(tmp_path: Path) -> None:
    base = key(tmp_path)
    assert key(tmp_path, methods={"renamed": {"method": "wkd"}}, method="renamed") == base
    assert key(tmp_path, methods={"wkd": {"weight": 0.4}}) == base  # the default, stated
    assert key(tmp_path, metrics=["ssim"], name="other") == base  # scores have keys of their own
    others = [
        key(tmp_path, methods={"wkd": {"levels": 2}}),
        key(tmp_path, budget={"steps": 5, "batch": 2}),
        key(tmp_path, budget={"steps": 4, "batch": 1}),
        key(tmp_path, discriminator_widths=[3]),
        key(tmp_path, size=64),
        key(tmp_path, precision="bf16"),
        key(tmp_path, task={"gan": "hinge"}),
        key(tmp_path, teacher={"width": 5, "budget": {"steps": 2}}),
        key(tmp_path, datasets=["photo_textures"]),
        key(tmp_path, architectures={"unet": {"norm": "instance"}}),
        key(tmp_path, select={"best_on_val": "psnr"}),
    ]
    assert len({base, *others}) == len(others) + 1


def test_ten_and_ten_point_zero_are_one_cell(tmp_path: Path) -> None:
    ten = {"hinton": {"weight": 10}}
    assert key(tmp_path, "hinton", methods=ten) == key(tmp_path, "hinton")


def test_a_student_alone_does_not_depend_on_the_suites_teacher(tmp_path: Path) -> None:
    assert key(tmp_path, "none") == key(tmp_path, "none", teacher={"width": 7})


def test_a_key_is_the_same_in_every_process(tmp_path: Path) -> None:
    """A hash of Python's own would differ; so would an order of sets."""
    path = write_suite(tmp_path)
    code = f"""
        from pathlib import Path
        from bench.plan.expand import expand
        from bench.plan.suite import load
        print(" ".join(expand(load(Path({str(path)!r}))).cells))
    """
    runs = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_where_images_lie_is_no_part_of_the_key_and_what_they_are_is(tmp_path: Path) -> None:
    def folder(name: str, shade: int) -> dict[str, Any]:
        for split in ("train", "test"):
            (tmp_path / name / split).mkdir(parents=True)
            pair = np.full((32, 64, 3), shade, np.uint8)
            Image.fromarray(pair).save(tmp_path / name / split / "1.png")
        return {"pairs": {"dataset": "pix2pix_folder", "path": name}}

    one, same, other = folder("one", 10), folder("same", 10), folder("other", 11)
    assert key(tmp_path, datasets=one) == key(tmp_path, datasets=same)
    assert key(tmp_path, datasets=one) != key(tmp_path, datasets=other)
    cell = by_method(tiny_plan(tmp_path, datasets=one))["wkd"]
    assert str(tmp_path) in cell.dataset.path
    assert str(tmp_path) not in cell.canonical


def test_canonical_text_survives_json(tmp_path: Path) -> None:
    cell = by_method(tiny_plan(tmp_path))["wkd"]
    spec = json.loads(cell.canonical)
    assert spec["methods"][0]["params"]["levels"] == 3
    some = set(SOME)  # of cells that have them
    never = {"outputs", "scored_on"}
    assert set(spec) == {f.name for f in dataclasses.fields(Cell)} - some - never


def test_seeds_are_shared_by_what_is_compared(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, widths=[2, 3], seeds=[0, 1])
    cells = {(e.method, e.width, e.seed): e.cell for e in plan.students}
    a, b = cells["wkd", 2, 0], cells["hinton", 2, 0]
    assert a.seed_for("networks", "x") == b.seed_for("networks", "x")
    assert a.batches == b.batches == cells["none", 3, 0].batches
    assert a.batches != cells["wkd", 2, 1].batches
    assert a.seed_for("noise", 1) != a.seed_for("noise", 2)
    assert a.seed_for("noise", 1) != cells["wkd", 2, 1].seed_for("noise", 1)


def test_cohorts_split_only_as_far_as_workers_are_free(tmp_path: Path) -> None:
    cells = [e.cell for e in tiny_plan(tmp_path, seeds=[0, 1]).students]
    assert sorted(len(c) for c in cohorts(cells)) == [3, 3]
    assert sorted(len(c) for c in cohorts(cells, at_least=3)) == [1, 2, 3]
    assert len(cohorts(cells, at_least=50)) == 6
    assert {c.key for group in cohorts(cells, 4) for c in group} == {c.key for c in cells}


def test_a_sum_adds_methods_with_their_own_parameters(tmp_path: Path) -> None:
    both = {"wkd+hinton": {"wkd": {"levels": 2}}}
    cell = by_method(tiny_plan(tmp_path, methods=both))["wkd+hinton"]
    assert [part.name for part in cell.methods] == ["wkd", "hinton"]
    assert cell.methods[0].params["levels"] == 2
    assert cell.methods[1].params["weight"] == 10.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["nonne"]}, "methods.nonne: unknown method 'nonne'. Did you mean 'none'?"),
        ({"methods": {"wkd": {"levelz": 2}}}, "unknown parameter of wkd 'levelz'. Did you mean 'levels'?"),
        ({"methods": {"wkd": {"distance": "l3"}}}, "unknown distance of wkd 'l3'. Known: l1, mse."),
        ({"methods": {"wkd": {"levels": "x"}}}, "levels of wkd: expected int like 3, found 'x'"),
        ({"methods": {"wkd": {"levels": True}}}, "levels of wkd: expected int like 3, found True"),
        ({"methods": {"a+b": {}}}, "unknown method 'a'"),
        ({"methods": {"wkd+hinton": {"levels": 2}}}, "unknown summand 'levels'"),
        ({"methods": {"wkd+wkd": {}}}, "one method stands twice"),
        ({"datasets": ["photo_edge"]}, "unknown dataset 'photo_edge'. Did you mean 'photo_edges'?"),
        ({"architectures": ["unett"]}, "unknown network 'unett'. Did you mean 'unet'?"),
        ({"architectures": ["patchgan"]}, "unknown generator 'patchgan'"),
        ({"metrics": ["pnsr"]}, "unknown metric 'pnsr'. Did you mean 'psnr'?"),
        ({"task": {"gann": "hinge"}}, "task: unknown parameter of the task 'gann'. Did you mean 'gan'?"),
        ({"task": {"gan": "wgan"}}, "unknown gan of paired 'wgan'"),
        ({"task": {"discriminator": "unet"}}, "unknown discriminator 'unet'"),
        ({"size": 40}, "unet needs images whose side is a multiple of 32 pixels"),
        ({"select": {"best_on_val": "macs"}}, "macs does not rank images"),
        ({"teacher": None}, "this method needs a teacher"),
        ({"methods": {"w": {"method": "nowhere:W"}}}, "no module 'nowhere'"),
        ({"methods": {"wkd": {"teacher": {"wdith": 3}}}}, "unknown key 'wdith'. Did you mean 'width'?"),
        ({"methods": {"wkd": {"teacher": 3}}}, "methods.wkd.teacher: expected keys"),
        ({"methods": {"wkd": {"teacher": {"width": 0}}}}, "methods.wkd.teacher: width: should be"),
        ({"methods": {"w": {"method": "sys:Foo"}}}, "no module 'sys'"),
        ({"snapshots": {"metrics": ["params"]}}, "snapshots.metrics: params judges no images"),
        (
            {
                "datasets": ["grass2brick"],
                "architectures": ["resnet9"],
                "select": {"best_on_val": "psnr"},
            },
            "psnr needs a ground truth, unpaired data have none",
        ),
    ],
)  # fmt: skip
def test_a_wrong_name_is_said_with_its_place(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    text = fault(tmp_path, **changes)
    assert said in text
    assert text.startswith(str(tmp_path / "tiny.yaml"))


def test_a_rows_teacher_inherits_what_its_budget_does_not_say(tmp_path: Path) -> None:
    methods = {"wkd": {"teacher": {"budget": {"steps": 7}}}}
    budget = {"steps": 4, "batch": 2, "lr": 1e-3}
    cell = by_method(plan := tiny_plan(tmp_path, methods=methods, budget=budget))["wkd"]
    taught = plan.cells[cell.teacher].budget
    assert (taught.steps, taught.batch, taught.lr) == (7, 2, 1e-3)


def test_the_key_knows_the_metric_that_chooses_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.plugins.registry import Kind

    def key() -> str:
        select = {"best_on_val": "psnr"}
        return by_method(tiny_plan(tmp_path, methods=["none"], select=select))["none"].key

    before, told = key(), METRIC.declaration("psnr", "test")
    raised = dataclasses.replace(told, fields={**told.fields, "version": 99})
    real = Kind.declaration
    monkeypatch.setattr(
        Kind, "declaration", lambda k, n, w: raised if n == "psnr" else real(k, n, w)
    )
    assert key() != before


def test_a_teacher_that_is_a_student_too_is_still_the_teacher(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, widths=[2, 4], teacher={"width": 4})
    (teacher,) = [e for e in plan.entries if e.role == "teacher"]
    assert teacher.cell in [e.cell for e in plan.students]
    assert len(plan.cells) == 6


def test_a_methods_own_path_is_part_of_the_key_and_a_data_sets_is_not(tmp_path: Path) -> None:
    keys = {
        by_method(
            tiny_plan(tmp_path, methods={"m": {"method": "test_plan:WithPath", "path": path}})
        )["m"].key
        for path in ("a", "b")
    }
    assert len(keys) == 2


def test_a_method_of_another_task_is_skipped_with_the_reason(tmp_path: Path) -> None:
    methods = {"none": {}, "p": {"method": "test_plan:PairedOnly"}}
    plan = tiny_plan(tmp_path, datasets=["grass2brick"], architectures=["resnet9"], methods=methods)
    entry = next(e for e in plan.students if e.method == "p")
    assert entry.cell is None
    assert entry.reason == "test_plan:PairedOnly treats paired data, grass2brick is unpaired"


from bench.contracts.distiller import Distiller  # noqa: E402


class PairedOnly(Distiller):
    tasks = ("paired",)


class WithPath(Distiller):
    defaults = {"path": ""}


def test_only_keeps_a_part_and_the_teachers_it_needs(tmp_path: Path) -> None:
    suite = load(write_suite(tmp_path, seeds=[0, 1]))
    plan = expand(suite, parse_only(["method=wkd", "seed=1"], suite))
    assert [(e.method, e.seed) for e in plan.students] == [("wkd", 1)]
    assert len(plan.cells) == 2
    with pytest.raises(SuiteError, match=r"unknown method 'wdk'\. Did you mean 'wkd'"):
        parse_only(["method=wdk"], suite)
    with pytest.raises(SuiteError, match=r"unknown axis 'methods'\. Did you mean 'method'"):
        parse_only(["methods=wkd"], suite)


FULL = """
    import sys, time
    from pathlib import Path
    from bench.plan.cell import Cell
    from bench.plan.expand import expand
    from bench.plan.suite import load
    start = time.process_time()
    plan = expand(load(Path(sys.argv[1])))
    planned = time.process_time() - start
    assert len(plan.students) == 1792, len(plan.students)
    assert len({e.cell.key for e in plan.students}) == 1792
    assert "torch" not in sys.modules, "planning imported torch"
    start = time.process_time()
    for entry in plan.students:
        Cell.canonical.func(entry.cell)
    print(planned / (time.process_time() - start))
"""


def test_the_full_matrix_is_planned_at_the_cost_of_its_keys_and_without_torch(
    tmp_path: Path,
) -> None:
    """7 methods x 8 data sets x 4 widths x 8 seeds, in at most ten times what their keys take.

    In CPU time of one process: a quadratic plan is far above that, a busy machine is not.
    """
    datasets = {}
    for number in range(8):
        for split in ("train", "test"):
            folder = tmp_path / str(number) / split
            folder.mkdir(parents=True)
            Image.fromarray(np.full((64, 128, 3), number, np.uint8)).save(folder / "1.png")
        datasets[f"d{number}"] = {"dataset": "pix2pix_folder", "path": str(number)}
    methods: dict[str, Any] = {"none": {}, "hinton": {}, "wkd": {}, "wkd+hinton": {}}
    methods |= {f"wkd{n}": {"method": "wkd", "levels": n} for n in (1, 2, 4)}
    seeds = list(range(8))
    path = write_suite(
        tmp_path, datasets=datasets, methods=methods, widths=[16, 24, 32, 48], seeds=seeds, size=64
    )
    ratios = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FULL), str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        ratios.append(float(done.stdout))
    assert min(ratios) < 10
