"""What cannot come out is said before training, by the arithmetic of the tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from harness import Runs
from tiny import tiny_plan, write_suite

from bench.cli.main import main
from bench.maths.attainable import LEVEL, least_holm_p
from bench.maths.statistics import holm, sign_flip_p
from bench.plan.matrix import Plan
from bench.run.outlook import remarks
from bench.run.preflight import check


def texts(plan: Plan, kind: str, device: str = "cpu") -> list[str]:
    return [remark.text for remark in remarks(plan, device) if remark.kind == kind]


def methods(count: int) -> dict[str, dict[str, object]]:
    """Return the control and so many others."""
    named = {f"h{n}": {"method": "hinton", "weight": float(n + 1)} for n in range(count)}
    return {"none": {}, **named}


@pytest.mark.parametrize("tests", [1, 2, 7])
@pytest.mark.parametrize("seeds", [1, 2, 5, 6, 7, 8, 9])
def test_a_plan_says_so_exactly_where_no_table_could_show_anything(
    tmp_path: Path, seeds: int, tests: int
) -> None:
    """2 / 2^n is the least p of n pairs; Holm multiplies the least of m by m."""
    plan = tiny_plan(tmp_path, methods=methods(tests), seeds=list(range(seeds)))
    said = texts(plan, "seeds")
    assert bool(said) == (tests * 2 / 2**seeds > 0.05)
    # the best that can happen, through the functions of the table: every method gains at every seed
    p = sign_flip_p(np.arange(1.0, seeds + 1))
    assert least_holm_p(seeds, tests) == min(holm([p] + [1.0] * (tests - 1)))
    assert bool(said) == (least_holm_p(seeds, tests) > LEVEL)


def test_too_few_seeds_are_said_with_how_many_it_takes(tmp_path: Path) -> None:
    four = tiny_plan(tmp_path, methods=methods(7), seeds=[0, 1, 2, 3])
    (said,) = texts(four, "seeds")
    assert said == (
        "4 seeds can never be significant for 7 methods: 9 would be "
        "(and below 6 nothing is, not even one method alone)"
    )
    one = tiny_plan(tmp_path, methods=methods(1), seeds=[0])
    assert texts(one, "seeds") == ["1 seed can never be significant for 1 method: 6 would be"]
    six = tiny_plan(tmp_path, methods=methods(2), seeds=list(range(6)))
    (said,) = texts(six, "seeds")  # 2 * 2 / 2^6 > 0.05, but for the best of all 2 / 2^6 is enough
    assert said == (
        "6 seeds can never be significant for 2 methods: 7 would be "
        "(gain by gain, after Holm; the best of all, in bold, needs 6)"
    )


def test_without_the_control_nothing_is_tested(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["hinton", "wkd"], seeds=list(range(9)))
    assert texts(plan, "seeds") == ["no method is the control (none), so that no gain is tested"]


def test_a_suite_that_compares_no_images_needs_no_seeds(tmp_path: Path) -> None:
    assert texts(tiny_plan(tmp_path, metrics=["params"]), "seeds") == []


def test_metrics_that_will_be_empty_are_named_with_the_reason(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, metrics=["psnr", "miou", "peak_memory"])
    assert texts(plan, "metric") == [
        "miou will be empty: needs labels, and photo_edges has none",
        "peak_memory will be empty: needs a GPU",
    ]
    assert texts(plan, "metric", "cuda") == texts(plan, "metric")[:1]


def test_weights_that_are_not_here_are_named_with_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path / "home"))
    plan = tiny_plan(
        tmp_path, metrics=["fid", "kid"], methods=["none", "fesd"], task={"lambda_vgg": 1.0}
    )
    bring = "needs weights that are not here: `distillbench fetch {}` brings them or says where"
    said = " / ".join(texts(plan, "weights"))
    for asks, name in (("fid, kid", "inception"), ("paired", "vgg19"), ("fesd", "vgg16")):
        assert f"{asks}: {bring.format(name)}" in said
    spared = tiny_plan(
        tmp_path, methods={"f": {"method": "fesd", "lambda_style": 0.0, "lambda_feature": 0.0}}
    )
    assert texts(spared, "weights") == []
    check(spared.cells.values(), spared.cells, lambda text: None)  # which finds none lacking either


def test_what_is_skipped_is_said(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["none", "pca_kd_style"])
    (said,) = texts(plan, "skipped")
    assert said.startswith("pca_kd_style is skipped on photo_edges: ")


def test_plan_and_run_say_the_same_before_anything_is_trained(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, metrics=["psnr", "miou"])
    where = [str(suite), "--store", str(tmp_path / "runs")]
    planned = CliRunner().invoke(main, ["plan", *where])
    found = json.loads(CliRunner().invoke(main, ["plan", *where, "--json"]).stdout)["remarks"]
    assert [remark["kind"] for remark in found] == ["seeds", "metric"]
    assert [f"note: {r['text']}" for r in found] == planned.stdout.splitlines()[-2:]
    runs = Runs(tmp_path, metrics=["psnr", "miou"])
    done = runs("run", "--jobs", "1", "--mlflow", "none")
    lines = done.stderr.splitlines()
    for remark in found:
        (at,) = [n for n, line in enumerate(lines) if line.endswith(f"note: {remark['text']}")]
        assert at < min(n for n, line in enumerate(lines) if "trained   " in line)
    again = runs("run", "--jobs", "1", "--mlflow", "none")
    assert "note: " not in again.stderr  # nothing is about to be trained
