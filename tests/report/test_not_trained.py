"""Students that did not train: named with their reason, shown, and in no mean, test or rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from test_reports import filled

from bench.cli.main import main
from bench.compare.accepted import not_done
from bench.compare.methods import compare_methods
from bench.contracts.report import Rows, Table
from bench.contracts.verdict import why_untrained
from bench.plan.matrix import Plan
from bench.report.publish import collect, publish
from bench.store.layout import Store
from reports.not_trained import NotTrained
from reports.ranks import MeanRanks
from reports.results import Results
from reports.seed_spread import SeedSpread
from reports.significance import Significance

WHY = "features too far from the source's: relu1 0.47 (needs 0.31)"


def marked(folder: Path, method: str, seeds: tuple[int, ...], **changes: Any) -> tuple[Plan, Store]:
    """Return a plan and its filled store, in which a method did not train at some seeds."""
    plan, store = filled(folder, **changes)
    for entry in plan.students:
        if entry.method == method and entry.seed in seeds and entry.cell:
            facts = {"AtoB": {"task": {"psnr": 3.0}, "wkd": {"mid": {}, "untrained": WHY}}}
            store.write(
                entry.cell.key, "end.json", {"status": "done", "seconds": 1.0, "facts": facts}
            )
    return plan, store


def whole(folder: Path) -> Rows:
    """Return the rows of a plan of which every cell trained."""
    (folder / "whole").mkdir()
    return collect(*filled(folder / "whole"))


def results(rows: Rows) -> dict[str, list[str]]:
    """Return method -> cells of the main table."""
    table = next(t for t in Results().make(rows) if t.name == "results")
    where = table.header.index("Method")
    return {line[where]: list(line[where + 1 :]) for block in table.blocks for line in block}


def test_a_reason_is_found_wherever_it_was_stated() -> None:
    facts = {"a": {"task": {"untrained": "too dark"}, "x": {"untrained": WHY, "mid": {}}}}
    facts["b"] = {"task": {"untrained": "too dark"}}
    assert why_untrained(facts) == f"too dark; {WHY}"


@pytest.mark.parametrize(
    "facts", [{}, None, 3, [1], {"a": 1}, {"a": {"b": "untrained"}}, {"a": {"b": {"untrained": 1}}}]
)
def test_facts_of_any_form_have_no_reason(facts: Any) -> None:
    assert why_untrained(facts) == ""


def test_the_command_line_says_which_student_did_not_train(tmp_path: Path) -> None:
    _, store = marked(tmp_path, "wkd", (0,))
    (suite,) = tmp_path.glob("*.yaml")
    found = CliRunner().invoke(main, ["status", str(suite), "--store", str(store.root)])
    assert found.exit_code == 0, found.output
    (line,) = (line for line in found.output.splitlines() if WHY in line)
    assert "wkd" in line
    assert line.endswith(f"seed 0  not trained: {WHY}")


def test_where_no_image_is_judged_nobody_counts_as_not_trained(tmp_path: Path) -> None:
    """One step is enough to know what a network costs."""
    metrics = {"params": {}, "macs": {}, "latency": {}}
    plan, store = marked(tmp_path, "wkd", (0,), metrics=metrics)
    assert set(collect(plan, store).entries["status"]) == {"done"}
    (suite,) = tmp_path.glob("*.yaml")
    found = CliRunner().invoke(main, ["status", str(suite), "--store", str(store.root)])
    assert found.exit_code == 0, found.output
    assert "not trained" not in found.output
    watched = {"times": 2, "metrics": {"psnr": {}}}
    (tmp_path / "watched").mkdir()
    plan, store = marked(tmp_path / "watched", "wkd", (0,), metrics=metrics, snapshots=watched)
    assert "not trained" in set(collect(plan, store).entries["status"])


def test_a_store_says_which_trial_did_not_train(tmp_path: Path) -> None:
    plan, store = marked(tmp_path, "wkd", (0,))
    found = {(e.method, e.seed): store.result(e.cell.key) for e in plan.students if e.cell}
    assert (found["wkd", 0][0], found["wkd", 0][2]) == ("done", WHY)
    assert (found["wkd", 1][0], found["wkd", 1][2]) == ("done", "")


def test_ranks_name_the_seeds_that_did_not_train(tmp_path: Path) -> None:
    datasets = ["photo_edges", "photo_textures"]
    plan, store = marked(tmp_path, "wkd", (1,), datasets=datasets)
    table, _ = MeanRanks().make(collect(plan, store))
    assert [note for note in table.notes if "not trained" in note] == [
        f"wkd, {name}, unet, at width 2: without seed 1, not trained." for name in datasets
    ]


def test_a_method_of_which_no_seed_trained_has_no_score_in_any_ranking(tmp_path: Path) -> None:
    plan, store = marked(tmp_path, "wkd", (0, 1))
    rows = collect(plan, store)
    found = results(rows)
    assert "19" not in " ".join(found["wkd [2 not trained]"])
    assert set(found["wkd [2 not trained]"]) == {"3.26 [3.00, 4.00]", "—"}  # its latency stays
    assert found["hinton"] == results(whole(tmp_path))["hinton"]
    (significance,) = Significance().make(rows)
    tested = [line for block in significance.blocks for line in block if "wkd" in line[3]]
    assert [line[3:6] for line in tested] == [["wkd [2 not trained]", "0", "—"]] * len(tested)
    assert list(MeanRanks().make(rows)) == []
    assert not (rows.scores["judges"] == "images")[rows.scores["method"] == "wkd"].any()
    (drawn,) = SeedSpread().make(rows)
    assert any("wkd: seeds 0, 1 not trained" in note for note in drawn.notes)


def test_a_seed_that_did_not_train_is_not_in_the_mean(tmp_path: Path) -> None:
    found = results(collect(*marked(tmp_path, "wkd", (1,))))
    assert "19.50 (n=1/2)" in found["wkd [1 not trained]"]


def test_what_it_would_have_taken_and_what_came_of_it_stand_in_a_table(tmp_path: Path) -> None:
    rows = collect(*marked(tmp_path, "wkd", (0, 1)))
    (table,) = NotTrained().make(rows)
    assert isinstance(table, Table)
    assert table.header == ["Data", "Width", "Method", "Seed", "Why", "PSNR [dB] ↑"]
    (block,) = table.blocks
    assert [line[2:] for line in block] == [["wkd", "0", WHY, "19.50"], ["wkd", "1", WHY, "23.00"]]
    assert any("40 images" in note or "images of" in note for note in table.notes)
    assert list(NotTrained().make(whole(tmp_path))) == []


def test_the_table_is_there_where_nothing_was_scored(tmp_path: Path) -> None:
    rows = collect(*marked(tmp_path, "wkd", (0,)))
    rows = Rows(rows.suite, rows.question, rows.entries, pd.DataFrame())
    (table,) = NotTrained().make(rows)
    assert table.header == ["Data", "Width", "Method", "Seed", "Why"]


def test_comparisons_gates_and_the_page_call_it_not_trained(tmp_path: Path) -> None:
    plan, store = marked(tmp_path, "wkd", (0,))
    rows = collect(plan, store)
    lines, _ = compare_methods(rows, "wkd", ["none"], ["psnr"])
    assert lines[0].lost["wkd"] == {"not trained": 1}
    assert lines[0].found.n == 1
    assert list(not_done(rows).values()) == [f"not trained: {WHY}"]
    publish(plan, store, tmp_path / "out")
    values = pd.read_csv(tmp_path / "out" / "rows.csv")
    mine = values[(values["method"] == "wkd") & (values["metric"] == "psnr")]
    assert dict(zip(mine["status"], mine["value"], strict=True)) == {
        "not trained": 19.5,
        "done": 23.0,
    }
    page = (tmp_path / "out" / "index.html").read_text()
    assert "relu1 0.47 (needs 0.31)" in page
