"""A plan dealt out: each place once, balanced, alike on every machine, with all that cells need."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import student_cells, tiny_plan, write_suite

from bench.cli.main import main
from bench.evaluate.costs import count_network
from bench.plan.cell import Cell
from bench.plan.matrix import Plan
from bench.plan.shard import deal
from bench.run.outlook import remarks
from bench.run.training_macs import training_macs


def by_steps(cohort: Sequence[Cell], known: Mapping[str, Cell]) -> int:
    return sum(cell.budget.steps or 0 for cell in cohort)


def wide(folder: Path, **changes: object) -> Plan:
    keys = {"seeds": [0, 1, 2], "datasets": ["photo_edges", "photo_textures"]}
    return tiny_plan(folder, **keys | changes)


def places(plan: Plan) -> list[str]:
    return [str(entry) for entry in plan.students]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_each_student_is_in_one_part_and_its_batches_in_no_other(
    tmp_path: Path, count: int
) -> None:
    plan = wide(tmp_path)
    parts = deal(plan, count, by_steps)
    assert sorted(itertools.chain(*map(places, parts))) == sorted(places(plan))
    seen = [{cell.batches for cell in student_cells(part)} for part in parts]
    assert all(not a & b for a, b in itertools.combinations(seen, 2))
    assert sum(part.shard.share for part in parts if part.shard) == pytest.approx(1)
    assert [str(part.shard) for part in parts] == [f"{k}/{count}" for k in range(1, count + 1)]


def test_a_part_has_all_that_its_cells_need_and_nothing_else(tmp_path: Path) -> None:
    methods = {
        "none": {},
        "hinton": {},
        "gan_compression": {"teacher": {"mode": "assistant", "assistant_width": 3}},
    }
    plan = wide(tmp_path, methods=methods, metrics=["miou"])
    for part in deal(plan, 3, by_steps):
        known = set(part.cells)
        needed = set().union(*(part.needs(cell) for cell in part.cells.values()))
        mine = {cell.key for cell in student_cells(part)}
        assert needed <= known
        assert known == needed | mine
        assert {e.cell.key for e in part.entries if e.cell} == known
        order = part.order()
        order.prepare()  # no cycle, no unknown key
    roles = {e.role for part in deal(plan, 3, by_steps) for e in part.entries}
    assert roles == {"student", "teacher", "assistant", "segmenter"}


def test_parts_are_of_about_equal_work(tmp_path: Path) -> None:
    plan = wide(tmp_path, seeds=list(range(6)), teacher={"width": 4, "budget": {"steps": 1}})
    for count in (2, 3, 4):
        shares = [part.shard.share for part in deal(plan, count, by_steps) if part.shard]
        assert max(shares) < 1.05 / count


def test_a_dear_teacher_is_trained_once_where_balance_allows(tmp_path: Path) -> None:
    plan = wide(tmp_path, teacher={"width": 4, "budget": {"steps": 1000}})
    parts = deal(plan, 2, by_steps)
    assert [{cell.dataset.name for cell in part.cells.values()} for part in parts] in (
        [{"photo_edges"}, {"photo_textures"}],
        [{"photo_textures"}, {"photo_edges"}],
    )
    assert all(part.shard and part.shard.again == 0 for part in parts)
    both = deal(tiny_plan(tmp_path, seeds=[0, 1]), 2, by_steps)
    assert [part.shard.again for part in both if part.shard] == [1, 1]


def test_cohorts_are_split_where_there_are_fewer_and_some_parts_may_be_empty(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path)  # three students of one seed
    assert sorted(len(places(part)) for part in deal(plan, 2, by_steps)) == [1, 2]
    assert sorted(len(part.cells) for part in deal(plan, 5, by_steps)) == [0, 0, 1, 2, 2]


def test_work_does_not_depend_on_methods_and_teachers_pass_once_per_cohort(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    none, hinton, wkd = (
        next(c for c in student_cells(plan) if c.method == m) for m in ("none", "hinton", "wkd")
    )
    alone, taught = training_macs([none], plan.cells), training_macs([hinton], plan.cells)
    assert alone < taught == training_macs([wkd], plan.cells)
    assert training_macs([none, hinton, wkd], plan.cells) == pytest.approx(2 * alone + taught)
    # by hand: steps x batch x (3 passes of the generator + 3 x 2 of the discriminator)
    own = count_network("unet", 2, none.size, 3).macs
    judge = count_network("patchgan", none.nets.discriminator_width, none.size, 6).macs
    steps, batch = none.budget.steps or 0, none.budget.batch
    assert alone == steps * batch * 3 * (own + 2 * judge)
    teacher = count_network("unet", plan.cells[hinton.teacher].nets.width, none.size, 3).macs
    assert taught == alone + steps * batch * teacher


def test_work_is_exact_however_much_it_is(tmp_path: Path) -> None:
    """So that no machine deals by another sum; floats end at 2^53."""
    plans = [tiny_plan(tmp_path, budget={"steps": n, "batch": 1}) for n in (1, 10**12 - 1)]
    few, many = (training_macs(student_cells(plan), plan.cells) for plan in plans)
    assert isinstance(many, int)
    assert many > 2**53
    assert many == few * (10**12 - 1)


def test_what_tunes_is_dealt_alike_before_and_after_its_trials(tmp_path: Path) -> None:
    plan = wide(tmp_path, tune={"trials": 2, "by": "psnr", "seeds": [100, 101]})
    assert plan.open
    assert plan.trials is not None
    parts = deal(plan, 3, by_steps)
    assert Counter(p for part in parts for p in places(part)) == Counter(places(plan))
    tried = [
        e.cell.key
        for p in parts
        if p.trials
        for e in p.trials.entries
        if e.role == "trial" and e.cell
    ]
    assert sorted(tried) == sorted(
        e.cell.key for e in plan.trials.entries if e.role == "trial" and e.cell
    )
    assert len({len(part.open) for part in parts}) == 1
    assert {part.shard.waiting for part in parts if part.shard} == {len(plan.open)}


def test_skipped_places_are_in_the_first_part(tmp_path: Path) -> None:
    plan = wide(tmp_path, methods={"none": {}, "sd_native": {}})
    skipped = [entry for entry in plan.entries if entry.cell is None]
    assert len(skipped) == 6
    first, *others = deal(plan, 3, by_steps)
    assert [entry for entry in first.entries if entry.cell is None] == skipped
    assert not any(entry.cell is None for part in others for entry in part.entries)


def test_seeds_are_not_counted_within_a_part(tmp_path: Path) -> None:
    plan = wide(tmp_path)
    assert any(r.kind == "seeds" for r in remarks(plan, "cpu"))
    assert not any(r.kind == "seeds" for p in deal(plan, 3, by_steps) for r in remarks(p, "cpu"))


@pytest.mark.parametrize("text", ["4/3", "0/3", "x", "1/0", "1/2/3", "-1/3", "1.5/3", ""])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    suite = str(write_suite(tmp_path))
    for command in ("run", "plan", "status"):
        done = CliRunner().invoke(main, [command, suite, "--shard", text])
        assert done.exit_code == 2
        assert "expected K/N with K from 1 to N, as in 2/3" in done.stderr


def test_plan_says_what_part_of_all_work_a_shard_is(tmp_path: Path) -> None:
    suite, store = str(write_suite(tmp_path, seeds=[0, 1])), str(tmp_path / "runs")
    done = CliRunner().invoke(main, ["plan", suite, "--shard", "2/2", "--store", store])
    assert done.exit_code == 0, done.output
    assert "4 cells, 4 to train" in done.stdout
    said = "shard 2/2: 50% of the work of all, as counted in MACs; 1 of its cells are trained by"
    assert said in done.stdout
