"""The papers' numbers beside ours: the file itself, how a row finds its number, and the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats
from tiny import by_method, somewhere, tiny_plan

from bench.contracts.kinds import DATASET, METRIC, NETWORK
from bench.contracts.report import Rows
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.report.rows import entry_rows
from bench.store.layout import Store
from reports._printed import REPORTED
from reports.paper_gap import PaperGap

PRINTED = pd.read_csv(REPORTED, keep_default_na=False, dtype=str)
JOINED = PRINTED[PRINTED["recipe"] != ""]
PAPERS = {"features": "inception_pytorch_fid 1", "output": "truncated to 8 bits"}


def test_every_number_is_of_a_network_and_data_set_that_exist() -> None:
    assert len(JOINED) > 100
    assert set(JOINED["architecture"]) <= set(NETWORK.names())
    known = {*DATASET.names(), "edges2shoes-r"}  # FESD's own split of edges2shoes
    assert set(JOINED["dataset"]) <= known
    assert set(JOINED["score"]) <= set(METRIC.names())
    assert set(JOINED["direction"]) == {"AtoB", "BtoA", "stylise"}
    for mean in PRINTED.loc[JOINED.index, "mean"]:
        float(mean)


def test_gains_that_the_papers_print_are_those_of_their_own_columns() -> None:
    """Every printed delta is the control's mean minus the method's, two misprints of WKD aside."""
    wkd = PRINTED[PRINTED["paper"] == "WKD"]
    place = ["table", "task", "model", "params_M"]
    wrong = []
    for _, delta in wkd[wkd["metric"] == "FID_delta_vs_origin_student"].iterrows():
        column = wkd[(wkd[place] == delta[place]).all(axis=1) & (wkd["metric"] == "FID")]
        means = column.set_index("method")["mean"].astype(float)
        control = next(means[n] for n in means.index if "rigin" in n)
        if abs(control - means[delta["method"]] - float(delta["mean"])) > 0.011:
            wrong.append((delta["task"], delta["params_M"], delta["method"]))
    assert wrong == [
        ("zebra2horse", "1.61", "SRKD(Li&Jiang)"),  # its row repeats that of the smaller student
        ("zebra2horse", "0.72", "TAKD1"),
    ]


RECIPES = {
    "wkd": {},
    "low": {"method": "wkd", "bands": "low"},
    "sum": {"method": "wkd+hinton", "hinton": {"weight": 1}},
    "own": {"method": "wkd", "teacher": {"mode": "same"}},
    "chain": {"method": "wkd", "teacher": {"mode": "assistant", "assistant_width": 3}},
    "three": {"method": "wkd", "teacher": {"mode": "peers", "peers": 3}},
    "along": {"method": "wkd", "teacher": {"mode": "online"}},
    "none": {},
}


def test_a_recipe_says_what_is_taught_by_whom_and_not_what_the_suite_calls_it(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, methods=RECIPES)
    found = {label: plan.recipe(cell) for label, cell in by_method(plan).items()}
    assert found == {
        "wkd": "wkd",
        "low": "wkd(bands=low)",
        "sum": "wkd+hinton(weight=1.0)",
        "own": "wkd, teacher of the same size",
        "chain": "wkd, assistant 3",
        "three": "wkd, 3 peers",
        "along": "wkd, online teacher",
        "none": "none",
    }


def test_the_recipes_of_wkds_tables_are_in_the_file() -> None:
    of_paper = set(JOINED.loc[JOINED["paper"] == "WKD", "recipe"])
    assert {
        "wkd(bands=low)",
        "wkd, 3 peers",
        "wkd, assistant 32",
        "wkd+gan_compression",
    } <= of_paper


def rows(
    last: list[float],
    best: list[float] | None = None,
    epochs: float = 200.0,
    size: int = 256,
    looks: int = 40,
    other: dict[str, str] | None = None,
    **changes: Any,
) -> Rows:
    """WKD's Table 2, ResNet-9 of width 16 by wkd, horse to zebra: printed 77.04 ± 3.52, n = 8."""
    axes: dict[str, Any] = {
        "role": "student",
        "dataset": "horse2zebra",
        "architecture": "resnet9",
        "method": "mine",
        "width": 16,
        "discriminator_width": 64,
        "recipe": "wkd",
        "status": "done",
    } | changes
    other = other or {}
    entries = [
        axes | {"seed": s, "key": str(s), "epochs": epochs} for s in range(max(len(last), 1))
    ]

    def score(seed: int, value: float, step: int) -> dict[str, Any]:
        common = {"metric": "fid", "direction": "AtoB", "headline": True, "digits": 2}
        protocol = json.dumps({"size": size} | PAPERS | other)
        return (
            axes
            | common
            | {"seed": seed, "key": str(seed), "step": step, "value": value}
            | {"protocol": protocol}
        )

    scores = [score(seed, value, 0) for seed, value in enumerate(last)]
    seen = [
        score(s, v + more, 10 + more) for s, v in enumerate(best or []) for more in range(looks)
    ]
    return Rows("s", "?", *(pd.DataFrame(x) for x in (entries, scores, seen)))


TABLES = "WKD Table 2, Table 4 (ablation), Table 5 (KD paradigms)"


def row(found: Rows) -> dict[str, str]:
    """Return the row of WKD's number; it stands in three of its tables."""
    (table,) = PaperGap().make(found)
    lines = [line for block in table.blocks for line in block]
    (line,) = [line for line in lines if line[:2] == [TABLES, "horse2zebra AtoB"]]
    return dict(zip(table.header, line, strict=True))


def test_a_paper_that_chose_by_the_test_set_is_compared_with_our_best_and_not_our_last() -> None:
    """The published logs of WKD: 73.22 at the best checkpoint, 108.15 at the last."""
    found = row(rows([108.0, 104.0, 112.0], [73.0, 69.0, 77.0]))
    assert found["Ours, last"] == "108.00 ± 4.00"
    assert found["Ours, best on test"] == "73.00 ± 4.00"
    assert found["Gap"] == "-4.04"
    assert (found["in its σ"], found["in our σ"]) == ("-1.1", "-1.0")
    assert found["Verdict"] == "reproduced"
    without = row(rows([108.0, 104.0, 112.0]))
    assert without["Verdict"].startswith("not comparable: the paper chose checkpoints")
    assert without["Gap"] == ""


@pytest.mark.parametrize("shift", [-12.0, -6.0, -1.0, 0.0, 3.0, 5.0, 12.0])
def test_the_verdict_is_welchs_test_at_five_percent(shift: float) -> None:
    ours = [77.04 + shift + x for x in (-4.0, -1.0, 0.0, 1.0, 4.0)]
    spread = pd.Series(ours).std()
    p = stats.ttest_ind_from_stats(77.04, 3.52, 8, 77.04 + shift, spread, 5, equal_var=False).pvalue
    found = row(rows(ours, ours))
    assert found["Verdict"] == ("reproduced" if p > 0.05 else "differs")


def test_another_protocol_or_one_seed_is_not_comparable_and_says_why() -> None:
    fewer = row(rows([80.0, 81.0], [80.0, 81.0], epochs=20.0))
    assert fewer["Verdict"] == "not comparable: 20 epochs, the paper 200"
    small = row(rows([80.0, 81.0], [80.0, 81.0], size=128))
    assert small["Verdict"] == "not comparable: 128 px, the paper 256"
    fidelity = row(rows([80.0, 81.0], [80.0, 81.0], other={"features": "inception 1"}))
    said = "not comparable: features inception, the paper inception_pytorch_fid"
    assert fidelity["Verdict"] == said
    rounded = row(rows([80.0, 81.0], [80.0, 81.0], other={"output": "rounded to 8 bits"}))
    said = "not comparable: outputs rounded to 8 bits, the paper truncated to 8 bits"
    assert rounded["Verdict"] == said
    assert row(rows([80.0], [80.0]))["Verdict"] == "not comparable: one seed has no spread"
    assert row(rows([]))["Verdict"] == "not run"


def verdicts(found: Rows, paper: str) -> set[str]:
    (table,) = PaperGap().make(found)
    return {line[-1] for block in table.blocks for line in block if line[0].startswith(paper)}


def test_what_was_chosen_from_fewer_looks_or_by_another_discriminator_is_not_comparable() -> None:
    close = [76.0, 77.0, 78.0]
    assert row(rows(close, close))["Verdict"] == "reproduced"
    fewer = row(rows(close, close, looks=10))
    assert fewer["Verdict"] == "not comparable: best of 10 looks, the paper's of 40"
    narrow = row(rows(close, close, discriminator_width=16))
    assert narrow["Verdict"] == "not comparable: D 16, the paper 64"


def test_a_row_of_each_discriminator_says_which() -> None:
    one, other = rows([76.0, 77.0]), rows([76.0, 77.0], discriminator_width=16)
    other.entries["key"], other.scores["key"] = (
        "a" + other.entries["key"],
        "a" + other.scores["key"],
    )
    both = Rows(
        "s", "?", pd.concat([one.entries, other.entries]), pd.concat([one.scores, other.scores])
    )
    (table,) = PaperGap().make(both)
    assert {line[2] for block in table.blocks for line in block} == {
        "resnet9 16 (D 64)",
        "resnet9 16 (D 16)",
    }


def test_a_verdict_says_what_a_paper_leaves_open() -> None:
    close = [76.0, 77.0, 78.0]
    assert verdicts(rows(close, close), "FESD") == {
        (
            'reproduced, as far as stated (epochs: "100 epochs", read as 200; checkpoint not stated; '
            "D not stated)"
        )
    }
    assert verdicts(rows(close, close, epochs=100.0), "FESD") == {
        'not comparable: 100 epochs, the paper "100 epochs", read as 200'
    }
    shoes = {"dataset": "edges2shoes", "architecture": "unet", "width": 32}
    found = rows([80.0, 81.0], [80.0, 81.0], epochs=15.0, looks=15, **shoes)
    assert verdicts(found, "WKD") == {
        "reproduced, as far as stated (epochs not stated; number of looks not stated)"
    }


def test_a_teacher_of_the_students_size_is_no_seed_of_the_student_alone(tmp_path: Path) -> None:
    """Self-distillation's teacher shares recipe, width and seed 0 with the first student alone."""
    suite = ROOT / "suites" / "wkd_table5_paradigms.yaml"
    entries = pd.DataFrame(
        entry_rows(expand(load(suite), elsewhere=somewhere), Store(tmp_path / "runs"))
    )
    entries["status"] = "done"
    alone = entries[(entries["recipe"] == "none") & (entries["width"] == 16)]
    assert sorted(alone["role"].value_counts()) == [1, 8]
    common = {"metric": "fid", "direction": "AtoB", "headline": True, "digits": 2, "step": 0}
    runs = entries.assign(**common, protocol=json.dumps(PAPERS))
    last = runs.assign(value=runs["role"].map({"student": 90.0, "teacher": 500.0}))
    looks = pd.concat([last.assign(step=step + 1) for step in range(40)])
    (table,) = PaperGap().make(Rows("s", "?", entries, last, looks))
    lines = [line for block in table.blocks for line in block if line[1] == "horse2zebra AtoB"]
    wkd = [line for line in lines if line[0].startswith("WKD Table")]
    ours = {(line[2], line[3]): line[6:8] for line in wkd}
    assert ours["resnet9 16", "none"] == ["90.00 ± 0.00", "90.00 ± 0.00"]
    assert ours["resnet9 64", "teacher"] == ["500.00", "500.00"]
    assert len(wkd) == len(ours) == 8  # seven paradigms and the teacher


def test_a_method_under_two_names_has_a_row_of_each() -> None:
    one = rows([76.0, 77.0, 78.0], [76.0, 77.0, 78.0])
    again = [frame.assign(method="again") for frame in (one.entries, one.scores, one.snapshots)]
    frames = (one.entries, one.scores, one.snapshots)
    both = [pd.concat(pair) for pair in zip(frames, again, strict=True)]
    (table,) = PaperGap().make(Rows("s", "?", *both))
    lines = [line for block in table.blocks for line in block if line[0] == TABLES]
    assert [line[3] for line in lines] == ["mine", "again"] * (len(lines) // 2)
    assert {line[6] for line in lines} == {"77.00 ± 1.00", "—"}  # the other direction has none


def test_the_published_logs_stand_under_the_number_that_they_are_behind() -> None:
    (table,) = PaperGap().make(rows([90.0, 91.0]))
    assert table.notes == [
        (
            "WKD's published logs (horse2zebra AtoB, resnet9 16, wkd(levels=4), n = 8): "
            "FID best on test 73.22 ± 7.20; last 108.15 ± 5.81."
        ),
        (
            "WKD's published logs (horse2zebra BtoA, resnet9 16, wkd(levels=4), n = 8): "
            "FID best on test 147.33 ± 4.15; last 152.23 ± 1.54."
        ),
    ]
    (table,) = PaperGap().make(rows([107.0, 108.0, 109.0], recipe="wkd(levels=4)"))
    found = {line[5]: line[-1] for block in table.blocks for line in block}
    assert found["108.15 ± 5.81"] == "reproduced"  # our last against their last
    assert next(iter(PaperGap().make(rows([90.0], recipe="hinton")))).notes == []


def test_a_single_printed_run_is_one_more_draw_from_our_seeds() -> None:
    """FESD prints one run of wkd on the same place: 77.04, without a spread."""
    reach = stats.t.ppf(0.975, 2) * 2 * (4 / 3) ** 0.5
    assert round(reach, 2) == 9.94
    for shift, verdict in ((9.9, "reproduced"), (10.0, "differs")):
        found = rows([77.04 + shift + x for x in (-2.0, 0.0, 2.0)])
        (table,) = PaperGap().make(found)
        lines = [line for block in table.blocks for line in block if line[0] == "FESD Table 1"]
        assert [line[-1].partition(",")[0] for line in lines] == [verdict]


def test_a_judge_of_other_weights_compares_with_nothing() -> None:
    """PCA-KD's footnote prints 2.25e6 for its student of 10-20-58-64."""
    axes = {
        "role": "student", "dataset": "pst", "architecture": "pca_vgg", "method": "mine",
        "width": "10-20-58-64", "discriminator_width": 0, "recipe": "pca_kd_style",
        "status": "done", "port": "", "epochs": 15.0,
    }  # fmt: skip
    entries = [axes | {"seed": seed, "key": str(seed)} for seed in (0, 1)]
    protocol = json.dumps({"size": 512, "judge": "vgg19, on pst"})
    about = {
        "metric": "content_loss", "direction": "stylise", "headline": True, "digits": 0, "step": 0,
        "protocol": protocol,
    }  # fmt: skip
    scores = [e | about | {"value": v} for e, v in zip(entries, (2.2e6, 2.3e6), strict=True)]
    (table,) = PaperGap().make(Rows("s", "?", pd.DataFrame(entries), pd.DataFrame(scores)))
    found = {line[4]: dict(zip(table.header, line, strict=True)) for line in table.blocks[0]}
    content = found["content_loss"]
    assert (content["Printed"], content["Gap"]) == ("2250000.0", "+0")
    assert content["Verdict"] == (
        "not comparable: 512 px, the paper HD to FHD; the paper's source and judge are a VGG-19 "
        "that it normalised, which ours are not; judge vgg19, on pst"
    )
    assert found["style_loss"]["Verdict"] == "not run"


def test_nothing_that_a_paper_printed_means_no_table() -> None:
    found = rows([80.0, 81.0])
    other = found.entries.assign(recipe="wkd(bands=low, levels=2)")
    assert list(PaperGap().make(Rows("s", "?", other, found.scores, found.snapshots))) == []
