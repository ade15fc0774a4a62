"""The gate: noise passes, what is planted is caught, holes and other machines are said."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nights import alarms, nights, plant
from scipy import stats
from test_reports import METRICS, filled, finish
from tiny import tiny_plan

from bench.cli.main import main
from bench.compare import gate as gating
from bench.compare.accepted import benchmarks
from bench.compare.gate import LEVEL, judge_scores, sight, table
from bench.store.layout import write_json

DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
QUICK = {"cells": 12, "seeds": 8, "spread": 0.05, "kept": 0.9}


def kinds(verdict: Any) -> dict[str, str]:
    return {f.what: f.kind for f in verdict.findings}


NIGHTS = 200
AT_MOST = stats.binom.ppf(0.999, NIGHTS, LEVEL) / NIGHTS  # 7 of them, where 2 are expected
NOISE = [  # accepted nights, and how many follow each: one for all, and one each
    (1, {**QUICK, "later": NIGHTS}),
    (NIGHTS, {**QUICK, "seeds": 4, "kept": 0.0}),
]


@pytest.mark.parametrize(("accepted", "suite"), NOISE)
def test_noise_alone_rarely_fails_a_night(
    accepted: int, suite: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The level is kept; without Holm's correction it is not, and this test would say so."""
    assert np.mean(alarms(accepted, **suite)) <= AT_MOST
    monkeypatch.setattr(gating, "holm", np.asarray)
    assert np.mean(alarms(accepted, **suite)) > AT_MOST


def test_a_planted_regression_is_caught_with_the_stated_power() -> None:
    """The last row of the table in docs/statistics.md, by 100 nights."""
    (row,) = re.findall(r"^\| 8 \| 5 % \| 0\.9 \| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text(), re.M)
    everywhere, one = map(float, row)
    assert np.mean(alarms(100, factor=1.05, **QUICK)) == pytest.approx(everywhere, abs=0.05)
    assert np.mean(alarms(100, factor=1.05, planted=1, **QUICK)) == pytest.approx(one, abs=0.2)


def test_a_regression_of_one_metric_accuses_no_other() -> None:
    accepted, now = nights(np.random.default_rng(1), **QUICK)
    plant(now, 1.2)
    found = kinds(judge_scores(now, accepted))
    assert found["mean of 12 cells: fid"] == "worse"
    assert {what for what, kind in found.items() if kind == "worse" and "fid" not in what} == set()
    plant(now, 1 / 1.44)
    verdict = judge_scores(now, accepted)
    assert kinds(verdict)["mean of 12 cells: fid"] == "better"
    assert not verdict.fails


def test_higher_may_be_better() -> None:
    accepted, now = nights(np.random.default_rng(1), cells=2, seeds=4, spread=0.01, kept=0.9)
    for score in now.values():
        score["values"] = {s: v * 0.8 for s, v in score["values"].items()}
    found = kinds(judge_scores(now, accepted))
    assert found["mean of 2 cells: psnr"] == "worse"
    assert found["mean of 2 cells: fid"] == "better"


def test_equal_bits_pass_and_a_change_within_tolerance_too() -> None:
    accepted, _ = nights(np.random.default_rng(0), **QUICK)
    now = copy.deepcopy(accepted)
    assert judge_scores(now, accepted).findings == []
    plant(now, 1.005, 1)  # certain, and half of the tolerance
    verdict = judge_scores(now, accepted)
    assert (verdict.changed, verdict.fails) == (1, False)
    plant(now, 1.01, 1)
    assert kinds(judge_scores(now, accepted))["cell 0: fid"] == "worse"


def test_holes_and_other_protocols_fail() -> None:
    accepted, _ = nights(np.random.default_rng(0), **QUICK)
    now = copy.deepcopy(accepted)
    del now["cell 0: fid"]
    del now["cell 1: fid"]["values"]["3"]
    now["cell 2: fid"]["protocol"] = {"images": 10}
    now["cell 12: fid"] = copy.deepcopy(now["cell 3: fid"])
    verdict = judge_scores(now, accepted)
    found = {f.what: (f.kind, f.note) for f in verdict.findings}
    assert found == {
        "cell 0: fid": ("missing", "no value at seeds 0, 1, 2, 3, 4, 5, 6, 7"),
        "cell 1: fid": ("missing", "no value at seed 3"),
        "cell 2: fid": ("not comparable", "images 10, was None"),
        "cell 12: fid": ("new", "not yet accepted"),
    }
    assert verdict.fails


def test_p_is_the_same_for_what_became_as_much_worse_or_better() -> None:
    """Both sides are tested, each at half of the level, under Holm's correction of its own."""
    accepted, now = nights(np.random.default_rng(1), **QUICK)
    plant(now, 1.02)
    found = []
    for better in ("lower", "higher"):
        for scores in (accepted, now):
            for score in scores.values():
                score["better"] = better
        verdict = judge_scores(copy.deepcopy(now), copy.deepcopy(accepted))
        found.append({f.what: f.p for f in verdict.findings if f.p is not None})
    assert found[0] == pytest.approx(found[1])
    assert any(0 < p < 1 for p in found[0].values())


def test_of_what_merely_changed_the_table_shows_the_means_alone() -> None:
    accepted, now = nights(np.random.default_rng(0), **QUICK)
    verdict = judge_scores(now, accepted)
    assert sum(f.kind == "changed" for f in verdict.findings) > 2
    rows = [row for block in table(verdict, "s").blocks for row in block]
    assert {row[0] for row in rows} == {"changed"}
    assert all(row[1].startswith("mean of 12 cells: ") for row in rows)


@pytest.mark.parametrize("odd", [-math.inf, math.inf, math.nan])
def test_a_score_that_is_not_finite_is_missing(odd: float) -> None:
    """Even where it says "better", or makes the means of the other seeds infinite."""
    accepted, now = nights(np.random.default_rng(0), **QUICK)
    now["cell 0: fid"]["values"]["3"] = odd
    verdict = judge_scores(now, accepted)
    (lost,) = (f for f in verdict.findings if f.fails)
    assert (lost.kind, lost.what, lost.note) == ("missing", "cell 0: fid", "not finite at seed 3")
    assert all(f.p is None or 0 <= f.p <= 1 for f in verdict.findings)


def test_new_scores_are_named_in_their_own_order() -> None:
    _, now = nights(np.random.default_rng(0), **QUICK)
    assert [f.what for f in judge_scores(now, {}).findings] == list(now)


def test_what_a_gate_says_it_sees_it_sees_on_half_of_the_nights() -> None:
    """One cell of each metric: three scores are tested, by Student's t with 3 degrees."""
    suite = {"cells": 1, "seeds": 4, "spread": 0.02, "kept": 0.0}
    least = stats.t.isf(LEVEL / 2 / 3, 3) * math.sqrt(2) * 0.02 / math.sqrt(4)
    assert np.mean(alarms(100, factor=1 + least, **suite)) == pytest.approx(0.5, abs=0.15)
    accepted, _ = nights(np.random.default_rng(0), **suite)
    values = accepted["cell 0: fid"]["values"]
    values |= {str(seed): 80 + 1.6 * step for seed, step in enumerate((-1.5, -0.5, 0.5, 1.5))}
    wanted = least * np.std(list(values.values()), ddof=1) / 0.02
    assert f"fid {wanted:.3g} ({100 * wanted / 80:.2g} %); lpips" in sight(accepted)
    for score in accepted.values():
        score["values"] = {seed: score["values"][seed] for seed in "03"}
    assert sight(accepted).startswith("With 2 seeds hardly anything can fail: take 4")
    assert "fid 648 (over 100 %)" in sight(accepted)  # 191, of t with 1 degree, x 4.8 / sqrt(2)


def test_what_a_gate_sees_in_the_mean_of_all_cells() -> None:
    """Cells that go up and down together: a mean has their spread, and is one of three tests."""
    accepted, _ = nights(np.random.default_rng(0), cells=2, seeds=4, spread=0.02, kept=0.9)
    for what, score in accepted.items():
        centre = 80 if "fid" in what else 1
        score["values"] = dict(
            zip("0123", centre * np.array([0.97, 0.99, 1.01, 1.03]), strict=True)
        )
    spread = math.sqrt(2) * 80 * np.std([-0.03, -0.01, 0.01, 0.03], ddof=1) / 2
    alone, mean = (stats.t.isf(LEVEL / 2 / tests, 3) * spread for tests in (6, 3))
    said = f"fid {alone:.3g} ({alone / 0.8:.2g} %), mean of 2 cells {mean:.3g} ({mean / 0.8:.2g} %)"
    assert said in sight(accepted)


class Gate:
    """A suite with results in a store, and the command."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.baseline = folder, folder / "base.json"
        self.plan, self.store = filled(folder, **changes)

    @classmethod
    def of_four_seeds(cls, folder: Path) -> Gate:
        gate = cls(folder)
        gate.plan = tiny_plan(folder, seeds=[0, 1, 2, 3], metrics=METRICS)
        for entry in gate.plan.entries:
            finish(gate.store, gate.plan, entry, 20 + entry.seed / 4 + len(entry.method) / 8)
        return gate

    def __call__(self, *options: str) -> tuple[int, str]:
        where = [str(self.plan.suite.path), "--store", str(self.store.root)]
        where += ["--against", str(self.baseline)]
        done = CliRunner().invoke(main, ["gate", *where, *options])
        return done.exit_code, done.output

    def change(self, metric: str, factor: float, method: str = "wkd") -> None:
        for entry in self.plan.students:
            if entry.method == method and entry.cell:
                scores = self.store.scores(entry.cell.key)
                for score in scores.values():
                    if score["metric"] == metric:
                        score["values"] = {n: v * factor for n, v in score["values"].items()}
                self.store.write(entry.cell.key, "scores.json", scores)

    def network(self, **changes: Any) -> None:
        for path in (self.store.root / "networks").rglob("*.json"):
            scores = json.loads(path.read_text())
            for score in scores.values():
                if score["metric"] == "latency":
                    score["protocol"] |= {"device": "GPU 1", "threads": 1} | changes.get("on", {})
                    score["values"] = {
                        n: v * changes.get("factor", 1) for n, v in score["values"].items()
                    }
            write_json(path, scores)


def test_accept_then_pass_then_fail(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    assert gate()[0] == 2  # nothing accepted yet
    assert gate("--accept")[0] == 0
    text = gate.baseline.read_text()
    assert gate("--accept")[0] == 0
    assert gate.baseline.read_text() == text  # nothing in it that changes by itself
    kept = json.loads(text)
    (what,) = [what for what in kept["scores"] if "wkd" in what]
    assert what == "photo_edges AtoB, unet, width 2 (D 2), wkd: psnr"
    assert kept["scores"][what]["values"] == {"0": 19.5, "1": 23.0}
    assert kept["scores"][what]["tolerance"] == 0.212  # 1 % of 21.25
    code, output = gate("--markdown", str(tmp_path / "gate.md"))
    assert code == 0
    assert "passed" in output
    gate.change("psnr", 0.5)
    wkd = next(e.cell for e in gate.plan.students if e.method == "wkd" and e.seed == 1)
    assert wkd is not None
    gate.store.write(wkd.key, "end.json", {"status": "diverged", "step": 3})
    code, output = gate("--markdown", str(tmp_path / "gate.md"))
    assert code == 1
    said = (tmp_path / "gate.md").read_text()
    assert "tiny: FAILED" in said
    assert re.search(r"\*\*missing\*\* \|[^|]*wkd: psnr \|.*no value at seed 1", said)
    assert re.search(r"\*\*missing\*\* \|[^|]*wkd, seed 1 \|.*diverged", said)
    code, output = gate("--accept")
    assert code == 2
    assert "psnr: one seed; a gate needs the spread of two seeds or more" in " ".join(
        output.split()
    )


def test_four_seeds_tell_a_worse_score(tmp_path: Path) -> None:
    gate = Gate.of_four_seeds(tmp_path)
    code, output = gate("--accept")
    assert (code, "With" in output) == (0, False)
    assert re.search(r"would fail on: psnr \S+ dB \(\S+ %\), mean of 3", output)
    gate.change("psnr", 0.995)
    assert gate()[0] == 0  # within the tolerance of 1 %
    gate.change("psnr", 0.9)
    code, output = gate("--markdown", str(tmp_path / "gate.md"))
    assert (code, "missing" in output) == (1, False)
    said = (tmp_path / "gate.md").read_text()
    assert re.search(r"\| \*\*worse\*\* \|[^|]*wkd: psnr \|", said)
    assert "Losses that half of the nights would fail on" in said


def test_what_was_accepted_as_diverged_may_diverge(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    for entry in gate.plan.students:
        if entry.method == "wkd" and entry.cell:
            gate.store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 3})
    code, output = gate("--accept")
    assert code == 0
    assert "accepted without photo_edges, unet, width 2 (D 2), wkd, seed 0 (diverged" in output
    assert gate()[0] == 0


def test_another_step_of_divergence_passes_and_another_end_does_not(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    (cell,) = (e.cell for e in gate.plan.students if (e.method, e.seed) == ("wkd", 1))
    assert cell is not None
    for entry in gate.plan.students:
        if entry.method == "wkd" and entry.cell:
            gate.store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 3})
    gate("--accept")
    gate.store.write(cell.key, "end.json", {"status": "diverged", "step": 4})
    assert gate()[0] == 0
    gate.store.write(cell.key, "end.json", {"status": "failed", "reason": "no memory"})
    assert gate()[0] == 1


def test_only_finite_scores_are_accepted(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate.change("psnr", math.nan)
    code, output = gate("--accept")
    assert code == 2
    assert re.search(r"wkd: psnr is nan at seed 0; a gate needs finite scores", output)


def test_speeds_are_compared_on_the_same_device_only(tmp_path: Path) -> None:
    """Latency is 3.26 ms with quartiles 3 and 4."""
    gate = Gate(tmp_path)
    gate.network()
    gate("--accept")
    gate.network(factor=1.2)  # its quartiles meet the accepted ones
    assert gate()[0] == 0
    gate.network(factor=1.2)
    code, output = gate()
    assert (code, "slower" in output, "+44.0%" in output) == (1, True, True)
    gate.network(on={"device": "GPU 2"})
    code, output = gate()
    assert (code, "accepted on GPU 1, 1 thread, measured on GPU 2, 1 thread" in output) == (
        0,
        True,
    )


def test_another_question_is_not_compared(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gate("--accept")
    code, output = gate("--set", "budget.steps=9", "--set", "methods.wkd.levels=2")
    assert code == 2
    assert "methods.wkd, budget differ from the accepted" in output
    code, output = gate("--set", "batches=shared")  # a key that the accepted suite does not state
    assert (code, "batches differ from the accepted" in output) == (2, True)
    assert gate("--set", "reports.ranks={}")[0] == 0  # shows the same scores
    code, output = gate("--only", "method=none,hinton")
    assert (code, "missing" in output) == (1, True)


def test_a_file_that_is_no_baseline_is_one_line_and_written_down_too(tmp_path: Path) -> None:
    gate, file = Gate(tmp_path), tmp_path / "gate.md"
    gate("--accept")
    kept = json.loads(gate.baseline.read_text())
    first = next(iter(kept["scores"]))
    one_seed = {**kept["scores"][first], "values": {"0": 1.0}}
    for value, said in (
        ([], "no baseline: all of it: "),
        ({"scores": {}}, "no baseline: suite: Field required"),
        ({**kept, "scores": {}}, "no baseline: scores: "),
        ({**kept, "scores": {first: one_seed}}, f"no baseline: scores.{first}.values: "),
        ({**kept, "protocols": {}}, f"no baseline: {first} has a protocol that is not there"),
    ):
        gate.baseline.write_text(json.dumps(value))
        code, output = gate("--markdown", str(file))
        assert (code, len(output.splitlines())) == (2, 1)
        assert f"base.json: {said}" in output
        assert "| **none** |" in file.read_text()
    gate.baseline.unlink()
    code, output = gate("--markdown", str(file))
    assert (code, "base.json: not there; `distillbench gate" in output) == (2, True)
    assert "no verdict" in file.read_text()


def benchmark(median: float, node: str = "here", gpu: str = "H200", **test: Any) -> dict[str, Any]:
    stats = {"median": median, "q1": 0.95 * median, "q3": 1.05 * median, "rounds": 5}
    machine = {"node": node, "cpu": {"brand_raw": "a CPU", "count": 2}, "gpu": gpu}
    test = {"fullname": "bench_x.py::x", "stats": stats, "extra_info": {}} | test
    return {"machine_info": machine, "benchmarks": [test]}


def test_benchmarks_of_the_same_machine(tmp_path: Path) -> None:
    gate, file = Gate(tmp_path), tmp_path / "speeds.json"

    def run(found: dict[str, Any], *options: str) -> tuple[int, str]:
        write_json(file, found)
        return gate("--benchmarks", str(file), *options)

    assert run(benchmark(1.0), "--accept")[0] == 0
    assert run(benchmark(1.08))[0] == 0  # within a tenth
    assert run(benchmark(1.3))[0] == 1
    assert run(benchmark(1.3, node="elsewhere"))[0] == 0
    code, output = run(benchmark(1.3, gpu="A100"))
    assert code == 0
    assert (
        "accepted on here, a CPU, 2 cores, H200, measured on here, a CPU, 2 cores, A100" in output
    )
    assert run({**benchmark(1.0), "benchmarks": []})[0] == 1  # gone
    code, output = gate()
    assert (code, "none given" in output) == (0, True)


def test_benchmarks_that_are_not_there_fail_and_do_not_hide_the_verdict(tmp_path: Path) -> None:
    gate = Gate.of_four_seeds(tmp_path)
    options = ("--benchmarks", str(tmp_path / "speeds.json"))
    assert gate(*options, "--accept")[0] == 2
    gate("--accept")
    gate.change("psnr", 0.9)
    for text, said in (
        ("", "not there"),
        ('{"something": "else"}', "no JSON of pytest-benchmark"),
        ("{", "not JSON"),
    ):
        if text:
            (tmp_path / "speeds.json").write_text(text)
        assert gate(*options, "--markdown", str(tmp_path / "gate.md"))[0] == 1
        verdict = (tmp_path / "gate.md").read_text()
        assert "**worse**" in verdict
        assert re.search(rf"\*\*missing\*\* \| benchmarks \|.*speeds.json: {said}", verdict)


def test_a_time_that_includes_the_peers_is_not_judged_but_its_ratio_is(tmp_path: Path) -> None:
    gate, file = Gate(tmp_path), tmp_path / "speeds.json"

    def run(seconds: float, ratio: float, *options: str) -> tuple[int, str]:
        info = {"ours_over_peer": {"a step": ratio}, "other": 3}
        write_json(file, benchmark(seconds, extra_info=info))
        return gate("--benchmarks", str(file), *options)

    assert run(1.0, 0.5, "--accept")[0] == 0
    assert run(9.0, 0.5)[0] == 0
    code, output = run(1.0, 0.6)
    assert (code, "bench_x.py::x: a step" in output, "+20.0%" in output) == (1, True, True)


BENCHMARKS = """
def bench_ratio(benchmark):
    benchmark.pedantic(sum, args=([1],), rounds=1)
    benchmark.extra_info["ours_over_peer"] = {"all": 0.5}
def bench_rounds(benchmark):
    benchmark.pedantic(sum, args=([1],), rounds=5)
def bench_once(benchmark):
    benchmark.pedantic(sum, args=([1],), rounds=1)
"""


def test_pytest_benchmarks_own_file_is_read_and_a_single_sample_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "bench_x.py").write_text(BENCHMARKS)
    shutil.copy(Path(__file__).parents[1] / "benchmarks" / "conftest.py", tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-o",
        "python_files=bench_*.py",
    ]
    command += ["-o", "python_functions=bench_*", "--benchmark-json=speeds.json", "bench_x.py"]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("PYTEST_")}  # a worker's
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    machine = json.loads((tmp_path / "speeds.json").read_text())["machine_info"]
    assert machine["torch"] == torch.__version__
    found = benchmarks(tmp_path / "speeds.json")
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    assert found["machine"].endswith(f" cores{gpu}")
    assert set(found["tests"]) == {"bench_x.py::bench_ratio: all", "bench_x.py::bench_rounds"}
    assert found["tests"]["bench_x.py::bench_ratio: all"]["value"] == 0.5
    gate = Gate(tmp_path)
    assert gate("--benchmarks", str(tmp_path / "speeds.json"), "--accept")[0] == 0
    code, output = gate("--benchmarks", str(tmp_path / "speeds.json"))
    assert code == 0
    said = "bench_x.py::bench_once.*neither a ratio to a peer nor 5 rounds: its time is not judged"
    assert re.search(said, output)


def test_a_hostile_score_is_text_in_the_verdict() -> None:
    from bench.report.render import markdown

    accepted, _ = nights(np.random.default_rng(0), **QUICK)
    accepted["<b>|x"] = accepted.pop("cell 0: fid")
    text = markdown(table(judge_scores({}, accepted), "s"))
    assert r"\<b\>\|x" in text
    assert "<b>" not in text
