"""`distillbench compare`, significance and ranks: verdicts from scores made up here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from test_reports import filled, finish
from tiny import tiny_plan

from bench.cli.main import main
from bench.compare.methods import compare_methods
from bench.compare.tables import quality_table
from bench.contracts.report import Bold, Table
from bench.plan.matrix import Plan
from bench.report.latex import latex
from bench.report.publish import collect
from bench.report.render import comma_separated, markdown
from bench.store.layout import Store
from reports.ranks import MeanRanks
from reports.results import Results
from reports.significance import Significance

SEEDS = list(range(8))
NOISE = [0.3, -0.2, 0.1, 0.0, -0.3, 0.2, -0.1, 0.4]
GAIN = {"none": 0.0, "hinton": 0.1, "wkd": 2.0}


def seeded(folder: Path, **changes: Any) -> tuple[Plan, Store]:
    """Return eight seeds at which wkd gains 2 dB, and hinton 0.1 dB but for its own noise."""
    plan = tiny_plan(folder, **({"seeds": SEEDS, "metrics": ["psnr", "macs"]} | changes))
    store = Store(folder / "runs")
    for entry in plan.entries:
        own = NOISE[(3 * entry.seed + 1) % 8] if entry.method != "none" else 0.0
        finish(store, plan, entry, 20 + NOISE[entry.seed % 8] + own + GAIN.get(entry.method, 5))
    return plan, store


def call(plan: Plan, store: Store, *arguments: str) -> tuple[int, str]:
    where = ["--suite", str(plan.suite.path), "--store", str(store.root)]
    done = CliRunner().invoke(main, ["compare", *arguments, *where])
    return done.exit_code, done.output


def told(plan: Plan, store: Store, *arguments: str) -> dict[str, Any]:
    code, output = call(plan, store, *arguments, "--json")
    assert code == 0, output
    found: dict[str, Any] = json.loads(output)
    found["quality"] = [{**line, **line.pop("found")} for line in found["quality"]]
    return found


def test_a_clear_gain_is_better_and_a_lost_one_is_worse(tmp_path: Path) -> None:
    suite = seeded(tmp_path)
    (line,) = told(*suite, "wkd", "--to", "none")["quality"]
    assert (line["n"], line["p_holm"], line["verdict"]) == (8, 2 / 256, "better")
    assert line["mean"] == pytest.approx(2 + sum(NOISE) / 8)
    assert line["low"] < line["mean"] < line["high"]
    (back,) = told(*suite, "none", "--to", "wkd")["quality"]
    assert (back["mean"], back["verdict"]) == (-line["mean"], "worse")
    (weak,) = told(*suite, "hinton", "--to", "none")["quality"]
    assert weak["verdict"] == "no difference shown"


def test_places_are_corrected_and_their_mean_is_one_question(tmp_path: Path) -> None:
    suite = seeded(tmp_path, datasets=["photo_edges", "photo_textures"])
    *places, mean = told(*suite, "wkd", "--to", "none")["quality"]
    assert [line["p_holm"] for line in places] == [4 / 256, 4 / 256]
    assert (mean["place"], mean["p_holm"]) == ("mean of 2", 2 / 256)


def test_few_seeds_are_said_and_a_lost_seed_makes_no_pair(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    for entry in plan.students:
        if entry.method == "wkd" and entry.seed > 3 and entry.cell:
            store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 1})
    (line,) = told(plan, store, "wkd", "--to", "none")["quality"]
    assert (line["n"], line["verdict"]) == (4, "too few seeds (6 needed)")
    for entry in plan.students:
        if entry.method == "wkd" and entry.cell:
            store.fail(entry.cell.key, "no")
    code, output = call(plan, store, "wkd", "--to", "none")
    assert (code, "no scores at a common seed" in output) == (2, True)


def lose(plan: Plan, store: Store, method: str, seeds: list[int], dataset: str = "") -> None:
    """Let runs of a method end as diverged."""
    for entry in plan.students:
        wanted = entry.method == method and entry.seed in seeds
        if wanted and dataset in ("", entry.dataset) and entry.cell:
            store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 1})


def test_who_wins_by_losing_seeds_is_better_among_survivors_only(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    lose(plan, store, "wkd", [7])
    (line,) = told(plan, store, "wkd", "--to", "none")["quality"]
    assert (line["n"], line["seeds"], line["verdict"]) == (7, 8, "better among survivors")
    assert line["lost"] == {"wkd": {"diverged": 1}, "none": {}}
    (back,) = told(plan, store, "none", "--to", "wkd")["quality"]
    assert back["verdict"] == "worse among survivors"
    rows = collect(plan, store)
    table = quality_table(compare_methods(rows, "wkd", ["none"])[0], "wkd", ["none"], {})
    assert table.blocks[0][0][7:10:2] == ["7/8 (wkd 1 diverged)", "better among survivors"]
    assert not isinstance(table.blocks[0][0][9], Bold)


def test_who_wins_against_lost_seeds_is_better(tmp_path: Path) -> None:
    """That the other one diverged too is no reason to doubt it."""
    plan, store = seeded(tmp_path)
    lose(plan, store, "none", [7])
    (line,) = told(plan, store, "wkd", "--to", "none")["quality"]
    assert (line["n"], line["verdict"]) == (7, "better")


def test_a_place_where_both_were_lost_is_named_and_not_tested(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path, datasets=["photo_edges", "photo_textures"])
    for method in ("wkd", "none"):
        lose(plan, store, method, SEEDS, "photo_textures")
    edges, textures, mean = told(plan, store, "wkd", "--to", "none")["quality"]
    assert (edges["verdict"], edges["p_holm"]) == ("better", 2 / 256)  # one test, not two
    assert textures["place"].startswith("photo_textures")
    assert (textures["n"], textures["seeds"], textures["verdict"]) == (0, 8, "no pair")
    assert textures["lost"] == {"wkd": {"diverged": 8}, "none": {"diverged": 8}}
    assert (mean["n"], mean["verdict"]) == (0, "no pair")
    code, output = call(plan, store, "wkd", "--to", "none")
    assert (code, "nan" in output) == (0, False)
    assert "0/8 (wkd 8 diverged; none 8 diverged)" in output
    lose(plan, store, "wkd", [6, 7])
    lose(plan, store, "wkd", [4, 5])
    edges, *_ = told(plan, store, "wkd", "--to", "none")["quality"]
    assert edges["verdict"] == "too few seeds (6 needed)"  # for one place; for two it would be 7


def test_what_no_method_has_for_its_data_is_no_place(tmp_path: Path) -> None:
    """Where the data have no ground truth, nobody lost a PSNR."""
    changes: dict[str, Any] = {"architectures": ["resnet9"], "metrics": ["psnr"]}
    plan, store = seeded(tmp_path, datasets=["photo_edges", "grass2brick"], **changes)
    for entry in plan.students:
        if entry.dataset == "grass2brick" and entry.cell:
            none = {k: s | {"values": {}} for k, s in store.scores(entry.cell.key).items()}
            store.write(entry.cell.key, "scores.json", none)
    (line,) = told(plan, store, "wkd", "--to", "none")["quality"]
    assert line["place"].startswith("photo_edges")


def test_a_method_against_itself_is_one_line(tmp_path: Path) -> None:
    code, output = call(*seeded(tmp_path), "wkd", "--to", "wkd")
    assert (code, len(output.strip().splitlines())) == (2, 1)
    assert "wkd against itself is no comparison" in output


def test_costs_are_of_networks_and_of_training_apart(tmp_path: Path) -> None:
    """A cell's time is its share of a cohort: of two cohorts' shares there is no ratio."""
    plan, store = seeded(tmp_path)
    for entry in plan.students:
        if entry.method == "wkd" and entry.cell:
            store.write(entry.cell.key, "end.json", {"status": "done", "seconds": 3.0})
    macs, cost = told(plan, store, "wkd", "--to", "none")["cost"]
    assert (macs["what"], macs["comparable"]) == ("MACs", True)
    assert (cost["what"], cost["new"], cost["base"]) == ("training (share of a cohort)", 3.0, 1.0)
    assert not cost["comparable"]
    code, output = call(plan, store, "wkd", "--to", "none")
    assert (code, "3 s" in output, "1.00×" in output, "better" in output) == (0, True, True, True)
    assert "3.00×" not in output


def test_a_wrong_name_is_one_line_with_what_is_close(tmp_path: Path) -> None:
    suite = seeded(tmp_path)
    code, output = call(*suite, "wdk", "--to", "none")
    assert code == 2
    assert "unknown method 'wdk'. Did you mean 'wkd'?" in output
    assert "--set 'methods.wdk={}'" in output
    code, output = call(*suite, "wkd", "--to", "none", "--metric", "pnsr")
    assert (code, "Did you mean 'psnr'?" in output) == (2, True)
    code, output = call(*suite, "mine", "--to", "none", "--set", "methods.mine={method: wkd}")
    assert code == 0  # a row that was added, and whose cells are wkd's


def test_only_what_beats_every_other_method_is_bold(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)

    def bold() -> list[str]:
        table = next(Results().make(collect(plan, store)))
        return [
            cell
            for block in table.blocks
            for row in block
            for cell in row
            if isinstance(cell, Bold)
        ]

    assert [cell.split()[0] for cell in bold()] == ["22.10"]
    one = next(e.cell for e in plan.students if e.method == "wkd" and e.seed == 0)
    assert one is not None
    store.write(one.key, "end.json", {"status": "diverged", "step": 1})
    assert bold() == []  # the seven that are left are the survivors


def test_too_few_seeds_for_bold_are_said(tmp_path: Path) -> None:
    notes = next(Results().make(collect(*filled(tmp_path)))).notes
    assert any(
        "smallest p that 2 seeds can give is 0.5; 6 seeds can give 0.031" in n for n in notes
    )


def test_significance_is_holms_over_the_methods(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    (table,) = Significance().make(collect(plan, store))
    (block,) = table.blocks
    hinton, wkd = block
    assert wkd[3:5] == ["wkd", "8"]
    assert wkd[7:9] == ["0.0078", "0.0156"]
    assert isinstance(wkd[8], Bold)
    assert float(hinton[7]) > 0.05
    assert not isinstance(hinton[8], Bold)
    assert hinton[7] == hinton[8]  # the last of Holm's steps
    assert "can give is 0.0078, and 0.016 after Holm over 2 methods." in table.notes[0]


def test_a_diverged_seed_is_named_where_gains_are_tested(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    one = next(e.cell for e in plan.students if e.method == "wkd" and e.seed == 0)
    assert one is not None
    store.write(one.key, "end.json", {"status": "diverged", "step": 1})
    (table,) = Significance().make(collect(plan, store))
    wkd = table.blocks[0][1]
    assert wkd[3:5] == ["wkd [1 diverged]", "7"]
    assert float(wkd[8]) <= 0.05
    assert not isinstance(wkd[8], Bold)  # of seven survivors


def test_what_is_significantly_worse_is_not_bold(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    for entry in plan.students:
        if entry.method == "wkd":
            finish(store, plan, entry, 18 + NOISE[entry.seed])
    (table,) = Significance().make(collect(plan, store))
    wkd = table.blocks[0][1]
    assert (wkd[5][0], wkd[8]) == ("-", "0.0156")
    assert not isinstance(wkd[8], Bold)


def test_one_seed_tests_nothing(tmp_path: Path) -> None:
    (table,) = Significance().make(collect(*seeded(tmp_path, seeds=[0])))
    row = table.blocks[0][1]
    assert row[6:9] == ["—", "1.0000", "1.0000"]
    assert "no single gain over the student alone can be significant here" in table.notes[0]


def test_ranks_over_two_places_by_hand(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path, datasets=["photo_edges", "photo_textures"])
    table, figure = MeanRanks().make(collect(plan, store))
    assert isinstance(table, Table)
    assert table.header[2:5] == ["none", "hinton", "wkd"]
    # Friedman: 12 x 2 / (3 x 4) (1 + 4 + 9 - 3 x 16 / 4) = 4 with 2 degrees of freedom: exp(-2)
    assert table.blocks == [[["2", "PSNR", "3.00", "2.00", "1.00", "2.34", "0.1353", "2"]]]
    assert table.notes[0].startswith("So few places cannot show any difference")  # 2.34 > 3 - 1
    assert len(figure.drawing.axes) == 1  # type: ignore[union-attr]
    assert list(MeanRanks().make(collect(*seeded(tmp_path)))) == []  # one place


def test_a_method_without_scores_somewhere_is_left_out_of_the_ranks(tmp_path: Path) -> None:
    methods = {"none": {}, "hinton": {}, "wkd": {}, "other": {"method": "wkd", "levels": 2}}
    plan, store = seeded(tmp_path, datasets=["photo_edges", "photo_textures"], methods=methods)
    for entry in plan.students:
        if entry.method == "hinton" and entry.dataset == "photo_textures" and entry.cell:
            store.fail(entry.cell.key, "no")
    table, _ = MeanRanks().make(collect(plan, store))
    assert "hinton" not in table.header
    assert table.notes[0] == (
        "hinton at width 2: not ranked by PSNR, for want of scores in some place."
    )


def test_a_place_without_a_common_seed_is_left_out_of_the_ranks_and_named(tmp_path: Path) -> None:
    names = ["photo_edges", "photo_textures", "more"]
    datasets: dict[str, Any] = {name: {} for name in names[:2]}
    datasets["more"] = {"dataset": "photo_edges"}
    plan, store = seeded(tmp_path, datasets=datasets, seeds=[0, 1])
    assert next(MeanRanks().make(collect(plan, store))).blocks[0][0][-1] == "3"  # type: ignore[union-attr]
    lose(plan, store, "wkd", [0], "photo_textures")
    lose(plan, store, "none", [1], "photo_textures")
    table, _ = MeanRanks().make(collect(plan, store))
    assert isinstance(table, Table)
    assert table.blocks[0][0][-1] == "2"
    said = (
        "photo_textures, unet, at width 2: not in the ranks by PSNR, as no seed has a score of "
        "every method."
    )
    assert said in table.notes
    plan, store = seeded(tmp_path, datasets=names[:2], seeds=[0, 1])
    lose(plan, store, "wkd", [0], "photo_textures")
    lose(plan, store, "none", [1], "photo_textures")
    (table,) = MeanRanks().make(collect(plan, store))  # one place is left, and has no ranks
    assert isinstance(table, Table)
    assert (list(table.blocks), said in table.notes) == ([], True)


def test_bold_is_markup_of_each_format_and_its_text_stays_escaped() -> None:
    from jinja2 import Environment

    text = Bold("a_<b>&|1")
    table = Table("t", "T", "c", ["h"], [[[text]]])
    assert r"| **a\_\<b\>&\|1** |" in markdown(table)
    assert r"\textbf{a\_\textless{}b\textgreater{}\&\textbar{}1} \\" in latex(table)
    assert comma_separated(table) == "h\na_<b>&|1\n"
    page = Environment(autoescape=True).from_string("{{ cell }}").render(cell=text)
    assert page == "<b>a_&lt;b&gt;&amp;|1</b>"


def test_rows_without_scores_have_no_such_table(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    rows = collect(plan, Store(tmp_path / "runs"))
    assert list(Significance().make(rows)) == []
    assert list(MeanRanks().make(rows)) == []
    assert isinstance(rows.scores, pd.DataFrame)


def test_against_several_p_is_corrected_for_their_number(tmp_path: Path) -> None:
    """Holm by hand: against none 2/256, against hinton larger, so times 2 and times 1."""
    suite = seeded(tmp_path)
    alone = {base: told(*suite, "wkd", "--to", base)["quality"][0] for base in ("none", "hinton")}
    lines = told(*suite, "wkd", "--to", "none,hinton")["quality"]
    assert [line["against"] for line in lines] == ["none", "hinton"]
    raw = [alone[line["against"]]["p"] for line in lines]
    assert [line["p"] for line in lines] == raw == [2 / 256, 2 / 256]
    assert [line["p_holm"] for line in lines] == [4 / 256, 4 / 256]
    for line in lines:
        same = ("new", "base", "mean", "low", "high", "n", "verdict")
        assert [line[n] for n in same] == [alone[line["against"]][n] for n in same]


def test_places_and_other_methods_are_one_family_and_their_means_another(tmp_path: Path) -> None:
    suite = seeded(tmp_path, datasets=["photo_edges", "photo_textures"])
    lines = told(*suite, "wkd", "--to", "none,hinton")["quality"]
    assert [(line["place"].split(" ")[0], line["against"]) for line in lines] == [
        ("photo_edges", "none"), ("photo_edges", "hinton"),
        ("photo_textures", "none"), ("photo_textures", "hinton"),
        ("mean", "none"), ("mean", "hinton"),
    ]  # fmt: skip
    assert [line["p_holm"] for line in lines] == [8 / 256] * 4 + [4 / 256] * 2


def test_six_seeds_are_enough_for_one_and_too_few_for_two(tmp_path: Path) -> None:
    suite = seeded(tmp_path, seeds=SEEDS[:6])
    (one,) = told(*suite, "wkd", "--to", "none")["quality"]
    assert one["verdict"] == "better"
    two = told(*suite, "wkd", "--to", "none,hinton")["quality"]
    assert [line["verdict"] for line in two] == ["too few seeds (7 needed)"] * 2


def test_several_stand_in_one_table(tmp_path: Path) -> None:
    code, output = call(*seeded(tmp_path), "wkd", "--to", "none,hinton")
    assert code == 0
    title, costs = output.splitlines()[0], output.partition("What it costs")[2]
    assert title == "wkd against none, hinton"
    (head,) = [line for line in output.splitlines() if "Verdict" in line]
    assert head.split()[:5] == ["Data", "Metric", "Against", "wkd", "Other"]
    assert [line for line in costs.splitlines() if "MACs" in line and " hinton " in line]


@pytest.mark.parametrize("names", ["none,wkd", "none,,hinton", "none,wdk"])
def test_a_wrong_name_among_several_is_a_line(tmp_path: Path, names: str) -> None:
    code, output = call(*seeded(tmp_path), "wkd", "--to", names)
    assert code == 2
    assert any(said in output for said in ("against itself", "expected names", "Did you mean"))


def test_one_without_a_pair_does_not_keep_the_others_from_being_compared(tmp_path: Path) -> None:
    plan, store = seeded(tmp_path)
    for entry in plan.students:
        if entry.method == "hinton" and entry.cell:
            store.write(entry.cell.key, "end.json", {"status": "diverged", "step": 3})
    (alone,) = told(plan, store, "wkd", "--to", "none")["quality"]
    with_none, without = told(plan, store, "wkd", "--to", "none,hinton")["quality"]
    assert without["verdict"] == "no pair"
    assert without["lost"]["hinton"] == {"diverged": 8}
    assert (with_none["p_holm"], with_none["verdict"]) == (alone["p_holm"], "better")
    code, output = call(plan, store, "wkd", "--to", "none,hinton")
    assert code == 0, output
    assert call(plan, store, "wkd", "--to", "hinton")[0] == 2
