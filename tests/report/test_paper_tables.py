"""The papers' tables from hand-made rows: cells against numbers computed by hand."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_reports import compiled
from tiny import somewhere, tiny_plan

from bench.contracts.kinds import METHOD, NETWORK, REPORT
from bench.contracts.report import Report, Rows, Table
from bench.plan.expand import expand
from bench.plan.scores import image_scores, record
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.report import latex, render
from bench.report.publish import collect
from bench.report.rows import entry_rows
from bench.store.layout import Store
from reports._layout import Layout
from reports._printed import networks
from reports.pca_kd_table_1 import SIZES

# metric: label, unit, digits, judges, better, headline
METRICS = {
    "fid": ("FID", "", 2, "images", "lower", "fid"),
    "miou": ("mIoU", "%", 2, "images", "higher", "miou"),
    "lpips": ("LPIPS", "", 3, "images", "lower", "lpips"),
    "psnr": ("PSNR", "dB", 2, "images", "higher", "psnr"),
    "denoising": ("denoising error", "", 3, "images", "lower", "denoising"),
    "params": ("#Params", "", 2, "network", "lower", "params"),
    "macs": ("MACs", "", 2, "network", "lower", "macs"),
    "latency": ("latency", "ms", 2, "network", "lower", "latency"),
    "latency_by_size": ("latency by size", "ms", 2, "network", "lower", ""),
    "throughput": ("throughput", "images/s", 1, "network", "higher", "throughput"),
}
RESNET = {
    "params": {"params": 11378179},
    "macs": {"macs": 49.5515e9, "macs_c2": 49.6398e9, "macs_c3": 56.7993e9},
}
RESNET_16 = {
    "params": {"params": 715651},
    "macs": {"macs": 3.3282e9, "macs_c2": 3.3504e9, "macs_c3": 3.7812e9},
}
MOBILE_16 = {
    "params": {"params": 137347},
    "macs": {"macs": 0.9547e9, "macs_c2": 0.9658e9, "macs_c3": 1.4077e9},
}

Values = dict[str, dict[str, float]]  # metric -> name -> value


def seeds(
    recipe: str,
    runs: Sequence[Values | str],
    *,
    role: str = "student",
    method: str = "",
    width: int = 16,
    architecture: str = "resnet9",
    dataset: str = "horse2zebra",
    direction: str = "AtoB",
) -> list[dict[str, Any]]:
    """Return one entry per seed; a text instead of values is the status of a seed without any."""
    axes: dict[str, Any] = {
        "role": role,
        "is_control": recipe == "none",
        "dataset": dataset,
        "architecture": architecture,
        "method": method or (recipe if role == "student" else role),
        "width": width,
        "discriminator_width": 64,
        "recipe": recipe,
        "epochs": 200.0,
    }
    return [
        axes
        | {"seed": seed, "key": "-".join(map(str, (*axes.values(), seed)))}
        | {"status": run if isinstance(run, str) else "done"}
        | {"values": {} if isinstance(run, str) else run, "direction": direction}
        for seed, run in enumerate(runs)
    ]


def rows(*groups: list[dict[str, Any]]) -> Rows:
    """Return the rows of a suite with these entries."""
    entries = list(itertools.chain(*groups))
    scores = []
    for entry in entries:
        for metric, values in entry["values"].items():
            label, unit, digits, judges, better, headline = METRICS[metric]
            for name, value in values.items():
                scores.append(
                    {
                        k: v
                        for k, v in entry.items()
                        if k not in ("values", "status", "recipe", "epochs")
                    }
                    | {"metric": metric, "label": label, "unit": unit, "digits": digits}
                    | {"judges": judges, "better": better, "name": name, "value": value, "step": 0}
                    | {
                        "headline": len(values) == 1 or name == headline,
                        "reason": "",
                        "undefined": "",
                    }
                    | {"protocol": json.dumps({"device": "a GPU"} if judges == "network" else {})}
                )
    frame = pd.DataFrame(entries).drop(columns=["values", "direction"]).drop_duplicates("key")
    return Rows("s", "?", frame, pd.DataFrame(scores))


def fid(*values: float, network: Values | None = None) -> list[Values]:
    return [(network or {}) | {"fid": {"fid": value}} for value in values]


def made(module: str, found: Rows) -> list[Table]:
    report: type[Report] = REPORT.load(module, "here")
    return [item for item in report().make(found) if isinstance(item, Table)]


def only(module: str, found: Rows) -> Table:
    (table,) = made(module, found)
    return table


def lines(table: Table) -> list[list[str]]:
    return [list(row) for block in table.blocks for row in block]


WKD_ROWS = ("none", "hinton", "at", "gan_compression", "srkd", "cat", "vid", "wkd")


def wkd_rows(**changed: Sequence[Values | str]) -> Rows:
    students = [
        seeds(recipe, changed.get(recipe, fid(90.0, 92.0, network=RESNET_16)))
        for recipe in WKD_ROWS
    ]
    return rows(seeds("none", fid(61.0, network=RESNET), role="teacher", width=64), *students)


def test_wkds_main_table_has_its_columns_its_ratios_and_its_printed_numbers() -> None:
    found = wkd_rows(wkd=fid(80.0, 86.0, network=RESNET_16))
    table = only("wkd_tables_1_to_3", found)
    assert table.header == [
        "Data", "Width", "#Params ↓", "MACs (C2)", "Method", "FID ↓", "Δ",
        "Paper (best on test)",
    ]  # fmt: skip
    teacher, control, *_, wkd = lines(table)
    assert [len(block) for block in table.blocks] == [1, 8]
    assert teacher == [
        "horse2zebra, resnet9",
        "64",
        "11.38M",
        "49.64G",
        "teacher",
        "61.00",
        "",
        "61.34 ± 4.35",
    ]
    # 11378179 / 715651 = 15.899, 49.6398 / 3.3504 = 14.816
    assert control == [
        "",
        "16",
        "0.716M (15.90×)",
        "3.35G (14.82×)",
        "none",
        "91.00 ± 1.41",
        "",
        "85.04 ± 6.88",
    ]
    # gains 90 - 80 and 92 - 86
    assert wkd == ["", "", "", "", "wkd", "83.00 ± 4.24", "+8.00 ± 2.83", "77.04 ± 3.52"]
    assert "Seeds per row (horse2zebra, resnet9): 2, the teacher's 1." in table.notes


def test_what_was_not_trained_here_stands_below_without_costs_or_gains() -> None:
    given = seeds("none", fid(70.0, 74.0), role="given", method="theirs")
    for entry in given:
        entry |= {"width": "—", "is_control": False, "discriminator_width": 0}
    found = wkd_rows()
    more = rows(given)
    entries = pd.concat([found.entries, more.entries], ignore_index=True)
    origin = (entries["role"] == "given").map({True: "images x (sha256 0)", False: ""})
    scores = pd.concat([found.scores, more.scores], ignore_index=True)
    table = only(
        "wkd_tables_1_to_3", replace(found, entries=entries.assign(origin=origin), scores=scores)
    )
    assert [len(block) for block in table.blocks] == [1, 8, 1]
    assert lines(table)[-1] == ["", "—", "—", "—", "theirs ‡", "72.00 ± 2.83", "", ""]
    assert table.notes[-1].startswith("‡ theirs: not trained here: images x (sha256 0);")


def test_a_lost_seed_is_named_in_a_papers_table_and_one_seed_has_no_deviation() -> None:
    found = wkd_rows(
        wkd=[*fid(80.0, network=RESNET_16), "diverged"],
        vid=["failed", "missing"],
    )
    *_, vid, wkd = lines(only("wkd_tables_1_to_3", found))
    assert vid[4:7] == ["vid [1 failed, 1 missing]", "—", "—"]
    assert wkd[4:7] == ["wkd [1 diverged]", "80.00 (n=1/2)", "+10.00 (n=1/2)"]


def test_miou_makes_table_3_whose_gain_is_upwards() -> None:
    students = [
        seeds(
            r,
            [
                {"miou": {"miou": v}, **RESNET_16}
                for v in ((40.0, 41.0) if r == "none" else (42.0, 42.0))
            ],
        )
        for r in WKD_ROWS
    ]
    table = only("wkd_tables_1_to_3", rows(*students))
    assert table.name == "wkd_table_3"
    assert lines(table)[-1][4:] == ["wkd", "42.00 ± 0.00", "+1.50 ± 0.71"]  # nothing printed for it


@pytest.mark.parametrize("absent", [*WKD_ROWS, "fid"])
def test_a_suite_without_one_of_a_tables_rows_or_without_its_score_has_no_such_table(
    absent: str,
) -> None:
    found = wkd_rows()
    entries = found.entries[found.entries["recipe"] != absent]
    scores = found.scores[found.scores["metric"] != absent]
    assert made("wkd_tables_1_to_3", Rows("s", "?", entries, scores)) == []


def test_bands_are_ticked_and_found_whatever_the_suite_calls_them() -> None:
    found = rows(
        seeds("wkd(bands=both)", fid(82.0), method="all"),
        seeds("none", fid(85.0)),
        seeds("wkd", fid(77.0), method="mine"),
        seeds("wkd(bands=low)", fid(96.0), method="coarse"),
    )
    table = only("wkd_table_4", found)
    assert table.header[2:5] == ["Method", "Low", "High"]
    assert [line[2:] for line in lines(table)] == [
        ["none", "", "", "85.00", "", "85.04 ± 6.88"],
        ["coarse", "✓", "", "96.00", "-11.00", "96.11 ± 14.39"],
        ["mine", "", "✓", "77.00", "+8.00", "77.04 ± 3.52"],
        ["all", "✓", "✓", "82.00", "+3.00", "81.81 ± 4.52"],
    ]
    assert r"mine &  & $\surd$ & 77.00 & $+$8.00".replace("$+$", "+") in latex.latex(table)
    assert "| mine |  | ✓ | 77.00 | +8.00 |" in render.markdown(table)


def test_both_directions_have_their_own_printed_numbers() -> None:
    recipes = {*WKD_ROWS, "wkd(bands=low)", "wkd(bands=both)"}
    found = rows(
        *(seeds(r, fid(80.0), direction=d) for r in sorted(recipes) for d in ("AtoB", "BtoA"))
    )
    table = only("wkd_table_4", found)
    assert [block[0][0] for block in table.blocks] == [
        "horse2zebra AtoB, resnet9",
        "horse2zebra BtoA, resnet9",
    ]
    assert [block[0][-1] for block in table.blocks] == ["85.04 ± 6.88", "152.67 ± 5.07"]
    (control,) = [
        line for line in lines(only("wkd_tables_1_to_3", found)) if line[-1][:4] == "152."
    ]
    assert control[-1] == "152.67 ± 9.63"  # the same number with another spread in Table 2


def test_paradigms_are_in_the_papers_order_and_assistants_are_footnotes() -> None:
    found = rows(
        seeds("none", fid(60.0), role="teacher", width=64),
        seeds("none", fid(88.0), role="teacher"),  # of self-distillation: not the teacher's row
        seeds("wkd", fid(55.5), role="assistant", method="assistant (TA)", width=32),
        seeds("wkd, 3 peers", fid(84.0), method="DML-3"),
        seeds("wkd, 2 peers", fid(81.0), method="DML-2"),
        seeds("wkd, assistant 32", fid(78.0), method="TA"),
        seeds("wkd, teacher of the same size", fid(83.0), method="self"),
        seeds("wkd", fid(77.0), method="TS"),
        seeds("none", fid(85.0)),
    )
    table = only("wkd_table_5", found)
    assert [[line[1], *line[2:4], line[-1]] for line in lines(table)] == [
        ["64", "teacher", "", ""],
        ["16", "none", "student alone", "85.04 ± 6.88"],
        ["", "TS", "teacher and student (TSKD)", "77.04 ± 3.52"],
        ["", "TA", "teacher's assistant (TAKD)", "78.53 ± 2.98"],
        ["", "self", "self-distillation", "83.51 ± 2.0"],
        ["", "DML-3", "deep mutual learning (DML)", "84.72 ± 5.17"],
        ["", "DML-2", "deep mutual learning (DML)", "81.06 ± 3.56"],
    ]
    assert table.notes[0] == "assistant (TA), width 32 (horse2zebra AtoB): FID 55.50."


def fesd_rows() -> Rows:
    student = fid(54.0, 56.0, network=MOBILE_16)
    mobile = {"architecture": "mobile_resnet9"}
    return rows(
        seeds("none", fid(61.53, network=RESNET), role="teacher", width=64),  # another network
        *(seeds(r, student, **mobile) for r in ("none", "omgd(lambda_cd=10.0)", "dcd", "fesd")),
    )


def test_fesds_reductions_are_those_of_its_text_and_its_original_is_of_another_architecture() -> (
    None
):
    """The paper: 97.5 % fewer MACs, 98.8 % fewer parameters."""
    table = only("fesd_table_1", fesd_rows())
    assert table.header[3:8] == [
        "MACs (C3)",
        "#Params ↓",
        "FID ↓",
        "Improvement",
        "Paper",
    ]
    original, *_, fesd = lines(table)
    assert original[1:] == ["64", "teacher (resnet9)", "56.80G", "11.38M", "61.53", "", "61.53"]
    assert fesd[2:] == [
        "fesd",
        "1.41G (-97.5 %)",
        "0.137M (-98.8 %)",
        "55.00 ± 1.41",
        "+6.53",
        "54.98",
    ]


def test_fesds_second_table_has_three_scores_of_two_networks() -> None:
    scores = {"lpips": {"lpips": 0.19}, "psnr": {"psnr": 21.0}, "fid": {"fid": 30.0}}
    place = {"dataset": "edges2shoes-r", "architecture": "unet"}
    found = rows(
        seeds("none", [scores], role="teacher", width=64, **place),
        *(seeds(r, [scores] * 2, **place) for r in ("omgd", "dcd", "fesd(gan=hinge)", "fesd")),
    )
    table = only("fesd_table_2", found)
    assert table.header[3:] == [
        "LPIPS ↓", "Paper's LPIPS", "PSNR [dB] ↑", "Paper's PSNR",
        "FID ↓", "Paper's FID",
    ]  # fmt: skip
    once = ["0.190 ± 0.000", "", "21.00 ± 0.00", "", "30.00 ± 0.00", ""]
    assert [line[2:] for line in lines(table)] == [
        ["teacher", "0.190", "0.191", "21.00", "21.08", "30.00", "34.31"],
        ["fesd(gan=hinge)", *once],
        ["fesd", "0.190 ± 0.000", "0.183", "21.00 ± 0.00", "21.17", "30.00 ± 0.00", "27.45"],
    ]
    assert made("fesd_table_2", fesd_rows()) == []  # unpaired data have neither


def test_a_network_is_compared_with_the_teacher_of_its_own_architecture() -> None:
    wide = [network | {"fid": {"fid": 60.0}} for network in (RESNET, MOBILE_16)]
    found = rows(
        seeds("none", wide[:1], role="teacher", width=64),
        seeds("none", wide[1:], role="teacher", width=64, architecture="mobile_resnet9"),
        *(seeds(r, fid(70.0, network=RESNET_16)) for r in ("omgd", "dcd", "fesd")),
    )
    original, *_, fesd = lines(only("fesd_table_1", found))
    assert original[2:4] == ["teacher", "56.80G"]
    assert fesd[3] == "3.78G (-93.3 %)"


SHIFTS = (
    "fesd(direction=uni, lambda_spec=0.0)",
    "fesd(direction=cross, lambda_spec=0.0)",
    "fesd(direction=quad, lambda_spec=0.0)",
    "fesd(lambda_spec=0.0, shift=4)",
    "fesd(lambda_spec=0.0, shift=8)",
    "fesd(lambda_spec=0.0, ratio=0.0625)",
    "fesd(lambda_spec=0.0, ratio=0.25)",
)
UNSHIFTED = "fesd(direction=none, lambda_spec=0.0)"


def test_each_table_of_the_shift_takes_its_own_rows() -> None:
    found = rows(
        *(
            seeds(
                recipe,
                fid(70.0 + n),
                dataset="summer2winter_yosemite",
                architecture="mobile_resnet9",
            )
            for n, recipe in enumerate(("dcd", "fesd(lambda_spec=0.0)", *SHIFTS, UNSHIFTED))
        )
    )
    tables = {
        t.name: [[*line[3:7]] for line in lines(t)] for t in made("fesd_tables_3_to_5", found)
    }
    bases = [["–", "–", "–", "70.00"], ["none", "–", "–", "79.00"]]
    chosen = ["bi", "2", "1/8", "71.00"]
    assert tables == {
        "fesd_table_3": [
            *bases,
            ["uni", "2", "1/8", "72.00"],
            chosen,
            ["cross", "2", "1/8", "73.00"],
            ["quad", "2", "1/8", "74.00"],
        ],
        "fesd_table_4": [*bases, chosen, ["bi", "4", "1/8", "75.00"], ["bi", "8", "1/8", "76.00"]],
        "fesd_table_5": [*bases, ["bi", "2", "1/16", "77.00"], chosen, ["bi", "2", "1/4", "78.00"]],
    }
    text = latex.latex(made("fesd_tables_3_to_5", found)[0])
    assert r"Method & Direction & \textbar{}h\textbar{} & $\alpha$ &" in text


def test_components_are_ticked_beside_what_the_paper_printed() -> None:
    found = rows(
        *(
            seeds(recipe, fid(value), architecture="mobile_resnet9")
            for recipe, value in (
                ("dcd", 58.0),
                (UNSHIFTED, 57.5),
                ("fesd(lambda_spec=0.0)", 57.0),
                ("fesd", 56.0),
            )
        )
    )
    assert [line[3:] for line in lines(only("fesd_table_6", found))] == [
        ["✓", "", "", "58.00", "57.17"],
        ["✓", "", "", "57.50", ""],  # not in the paper
        ["✓", "✓", "", "57.00", "56.06"],
        ["✓", "✓", "✓", "56.00", "54.98"],
    ]


def test_latency_is_of_networks_against_the_widest_resnet() -> None:
    """FESD's text: 8.87 to 6.49 ms are 26.8 % less."""

    def timed(network: Values, mean: float) -> list[Values]:
        return [network | {"latency": {"latency": 1.0, "latency_q1": 0.5, "latency_mean": mean}}]

    found = rows(
        seeds("none", timed(RESNET_16, 4.0)),
        seeds("none", timed(RESNET, 8.87), width=64),
        seeds("none", timed(MOBILE_16, 6.49), architecture="mobile_resnet9"),
    )
    table = only("fesd_table_7", found)
    assert table.header == [
        "Data",
        "Network",
        "MACs (C3)",
        "#Params ↓",
        "Latency [ms]",
        "Reduction",
    ]
    assert lines(table) == [
        ["horse2zebra", "resnet9 16", "3.78G (-93.3 %)", "0.716M (-93.7 %)", "4.00", "-54.9 %"],
        ["", "resnet9 64", "56.80G", "11.38M", "8.87", ""],
        ["", "mobile_resnet9 16", "1.41G (-97.5 %)", "0.137M (-98.8 %)", "6.49", "-26.8 %"],
    ]
    assert any("device a GPU" in note for note in table.notes)
    one = found.entries["architecture"] == "resnet9"
    assert made("fesd_table_7", Rows("s", "?", found.entries[one], found.scores)) == []


def test_seconds_by_resolution_say_where_memory_ended() -> None:
    def times(hd: float, largest: float) -> dict[str, float]:
        return {"latency_1280x720": hd, "latency_3840x2160": 10 * hd, "latency_7680x4320": largest}

    small = [RESNET_16 | {"latency_by_size": times(41.0, 3280.0)}] * 2
    untried = times(93.0, math.inf) | {"predicted_7680x4320": 1.0}
    found = rows(
        seeds(
            "none", [RESNET | {"latency_by_size": times(372.6, math.inf)}], role="teacher", width=64
        ),
        seeds("none", small),
        seeds("wkd", small),
        seeds("none", [RESNET | {"latency_by_size": untried}], width=32),
    )
    table = only("pca_kd_table_1", found)
    assert table.header[2:] == [
        "#Params ↓",
        "HD 1280x720 [s]",
        "4K 3840x2160 [s]",
        "8K 7680x4320 [s]",
    ]
    assert [line[1:] for line in lines(table)] == [
        ["resnet9 64", "11.38M", "0.37", "3.73", "OOM"],
        ["resnet9 16", "0.716M", "0.04", "0.41", "3.28"],  # one row, whatever trained it
        ["resnet9 32", "11.38M", "0.09", "0.93", "OOM (predicted)"],
    ]


def test_what_the_paper_printed_of_the_networks_stands_under_them() -> None:
    vgg = {"architecture": "pca_vgg", "width": "10-20-58-64"}
    wct2 = {"architecture": "wct2", "width": "64-128-256-512"}
    times = {"latency_1280x720": 1000.0, "latency_7680x4320": math.inf}
    found = rows(
        *(
            seeds("none", [{"params": {"params": count}, "latency_by_size": times}], **network)
            for count, network in ((283_236.0, vgg), (10_121_871.0, wct2))
        ),
        seeds(
            "none",
            [{"params": {"params": 5e5}, "latency_by_size": times}],
            **(vgg | {"width": "8"}),
        ),
    )
    table = only("pca_kd_table_1", found)
    assert table.header[2:] == ["#Params ↓", "HD 1280x720 [s]", "8K 7680x4320 [s]"]
    assert lines(table)[3:] == [
        ["printed by PCA-KD", "Ours-VGG (pca_vgg 10-20-58-64)", "0.283M", "0.05", "0.82"],
        ["", "WCT2 (wct2 64-128-256-512)", "10.12M", "0.37", "OOM"],
    ]
    assert lines(table)[0][2:] == ["0.283M", "1.00", "OOM"]


def test_the_printed_networks_are_those_of_the_table() -> None:
    """Seven networks, their parameters and six sizes each; names and widths exist."""
    found = networks()
    found = found[found["paper"] == "PCA-KD"]
    assert len(found) == 7 * 7
    assert set(found["architecture"]) <= set(NETWORK.names())
    assert set(found["score"]) == {"params", *(f"latency_{size}" for size in SIZES.values())}
    for (network, width), group in found.groupby(["architecture", "width"]):
        assert NETWORK.declaration(network, network).says.widths == len(width.split("-"))
        printed = group.set_index("score")["mean"]
        times = [math.inf if x == "OOM" else float(x) for x in printed.drop("params")]
        assert times == sorted(times)


BANDS = {"low_20": 0.1, "high_20": 0.9, "low_50": 0.2, "high_50": 1.1}


def test_sds_errors_are_those_of_one_step_by_band() -> None:
    lost = {name: value for name, value in BANDS.items() if name != "high_20"}
    found = rows(
        seeds("none", [{"denoising": {"denoising": 5.0, **BANDS}}] * 2, architecture="ldm_unet"),
        seeds("sd_native", [{"denoising": BANDS}, {"denoising": lost}], architecture="ldm_unet"),
    )
    table = only("sd_table_1", found)
    assert table.header[3] == "Low frequencies, t = 20 ↓"
    assert [line[2:5] for line in lines(table)] == [
        ["none", "0.100 ± 0.000", "0.900 ± 0.000"],
        ["sd_native", "0.100 ± 0.000", "0.900 (n=1/2)"],
    ]


def test_real_images_stand_below_in_the_columns_that_they_have() -> None:
    found = rows(
        seeds("none", fid(20.0, 22.0), role="teacher", width=64),
        seeds("none", fid(90.0, 92.0)),
        *(seeds(f"sd_native{of}", fid(80.0, 81.0)) for of in TERMS),
    )
    protocol = json.dumps({"images": 50, "drawn": "from elsewhere"})
    floor = found.scores.iloc[:1].assign(
        role="reference", method="real images", key="reference", width="—", value=1.5, seed=0,
        protocol=protocol,
    )  # fmt: skip
    table = only("sd_table_5", replace(found, references=floor))
    assert lines(table)[-1][1:] == ["—", "real images", "", "", "1.50", ""]
    assert any(
        note.startswith("real images (horse2zebra, resnet9): 50 drawn from elsewhere, held against")
        for note in table.notes
    )


TERMS = ("(frequency=0.0)", "(spatial=0.0)", "")


def test_sds_other_tables_have_costs_and_ticks() -> None:
    fast = RESNET_16 | {"throughput": {"throughput": 66.66}}
    found = rows(
        seeds(
            "none",
            [RESNET | {"throughput": {"throughput": 9.0}, "fid": {"fid": 60.0}}],
            role="teacher",
            width=64,
        ),
        seeds("none", fid(90.0, 92.0, network=fast)),
        seeds("sd_native", fid(80.0, 81.0, network=fast)),
        seeds("sd_native(frequency=0.0)", fid(85.0, 85.0, network=fast)),
        seeds("sd_native(spatial=0.0)", fid(84.0, 84.0, network=fast)),
    )
    costs = only("sd_table_2", found)
    assert lines(costs)[-1][2:] == [
        "sd_native",
        "0.716M (15.90×)",
        "3.33G (14.89×)",
        "66.7",
        "80.50 ± 0.71",
    ]
    terms = only("sd_table_5", found)
    assert [line[2:5] for line in lines(terms)[1:]] == [
        ["none", "", ""],
        ["sd_native(frequency=0.0)", "✓", ""],
        ["sd_native(spatial=0.0)", "", "✓"],
        ["sd_native", "✓", "✓"],
    ]


TABLES = {  # suite -> table -> how many of its cells have a printed number, in one direction
    "wkd_table1_pix2pix": {"wkd_table_1_2": 9},
    "wkd_table1_pix2pixhd": {"wkd_table_1_2": 9},
    "wkd_table2_cyclegan": {"wkd_table_1_2": 19},
    "wkd_table3_cityscapes": {"wkd_table_3": 9},
    "wkd_table4_bands": {"wkd_table_4": 4},
    "wkd_table5_paradigms": {"wkd_table_5": 7},
    "wkd_fig6_discriminators": {},
    "fesd_table1_horse2zebra": {"fesd_table_1": 4, "fesd_table_7": 0},
    "fesd_table1_summer2winter": {"fesd_table_1": 4, "fesd_table_7": 0},
    "fesd_table1_edges2shoes": {"fesd_table_1": 0, "fesd_table_2": 0},  # the paper split anew
    "fesd_table3_direction": {"fesd_table_3": 5},
    "fesd_table4_shift": {"fesd_table_4": 4},
    "fesd_table5_ratio": {"fesd_table_5": 4},
    "fesd_table6_components": {"fesd_table_6": 6},
    "fesd_table7_latency": {"fesd_table_7": 0},
    "pca_kd_table1_vgg": {"pca_kd_table_1": 0},
    "pca_kd_table1_small": {"pca_kd_table_1": 0},
    "sd_table1": {"sd_table_1": 0},
    "sd_table2": {"sd_table_2": 0},
    "sd_table5": {"sd_table_1": 0, "sd_table_5": 0},
    "matrix": {},
    "nightly": {},
}


@pytest.mark.parametrize("suite", TABLES)
def test_every_suite_of_a_paper_fills_its_table(suite: str, tmp_path: Path) -> None:
    """The suite's own recipes against the layouts', and both against the printed numbers'."""
    plan = expand(
        load(ROOT / "suites" / f"{suite}.yaml", ["seeds=[0]", "budget.epochs=1"]),
        elsewhere=somewhere,
    )
    metrics = {part.name: part.params for part in plan.metrics if part.name in METRICS}
    names = {"macs": ["macs", "macs_c2", "macs_c3"], "denoising": list(BANDS)}
    names["latency"] = ["latency", "latency_mean"]
    sizes = metrics.get("latency_by_size", {}).get("sizes", [])
    names["latency_by_size"] = [f"latency_{width}x{height}" for width, height in sizes]
    values = {m: dict.fromkeys(names.get(m, [m]), 1.0) for m in metrics}
    entries = [
        row | {"values": values, "direction": "AtoB"}
        for row in entry_rows(plan, Store(tmp_path / "runs"))
        if row["role"] != "segmenter"
    ]
    found = rows(entries)
    papers = [n for n in REPORT.names() if n.startswith(("wkd_", "fesd_", "pca_", "sd_"))]
    tables = [table for name in papers for table in made(name, found)]
    printed = {
        table.name: sum(
            line[column] != ""
            for column, heading in enumerate(table.header)
            if heading.startswith("Paper")
            for line in lines(table)
        )
        for table in tables
    }
    assert printed == TABLES[suite]
    for table in tables:
        if table.name == "pca_kd_table_1":
            assert len(table.header) == 3 + len(SIZES)  # the suite asks for all of them


PARADIGMS: dict[str, Any] = {
    "none": {},
    "TSKD": {"method": "wkd"},
    "TAKD-3": {"method": "wkd", "teacher": {"mode": "assistant", "assistant_width": 3}},
    "self": {"method": "wkd", "teacher": {"mode": "same"}},
    "DML-2": {"method": "wkd", "teacher": {"mode": "peers", "peers": 2}},
    "low": {"method": "wkd", "bands": "low"},
    "both": {"method": "wkd", "bands": "both"},
}


def test_a_real_plans_rows_are_found(tmp_path: Path) -> None:
    """Roles, widths and recipes as plans and stores write them, with an FID per cell made up."""
    plan = tiny_plan(tmp_path, methods=PARADIGMS, metrics=["fid"], seeds=[0, 1])
    store = Store(tmp_path / "runs")
    for number, cell in enumerate(plan.cells.values()):
        store.write(cell.key, "end.json", {"status": "done", "seconds": 1.0})
        made_up = {
            score.id: record(score.metric, score.protocol, {"fid": 50.0 + number}, "", 1.0)
            for score in image_scores(cell, plan.metrics)
        }
        store.write(cell.key, "scores.json", made_up)
    found = collect(plan, store)
    paradigms, bands = only("wkd_table_5", found), only("wkd_table_4", found)
    assert [line[2] for line in lines(paradigms)] == [
        "teacher",
        "none",
        "TSKD",
        "TAKD-3",
        "self",
        "DML-2",
    ]
    assert lines(paradigms)[0][1] == "4"  # not the teacher of the student's own size
    assert paradigms.notes[0].startswith("assistant (TAKD-3), width 3 (photo_edges AtoB): FID ")
    assert [line[2:5] for line in lines(bands)[1:]] == [
        ["none", "", ""],
        ["low", "✓", ""],
        ["TSKD", "", "✓"],
        ["both", "✓", "✓"],
    ]
    assert any("test split" in note for note in bands.notes)
    assert bands.header[-1] == "Δ"  # nothing was printed for these photographs


def layouts() -> list[Layout]:
    found: list[Layout] = []
    for name in REPORT.names():
        values = vars(importlib.import_module(f"reports.{name}")).values()
        for value in values:
            several = value if isinstance(value, tuple) else (value,)
            found += [v for v in several if isinstance(v, Layout)]
    return found


def test_every_paper_table_has_a_suite_with_its_rows() -> None:
    tables = {layout.name for layout in layouts()}
    assert len(tables) > 12
    assert tables == {table for filled in TABLES.values() for table in filled}


def test_the_recipes_of_rows_are_those_that_a_plan_can_write() -> None:
    """A parameter that a method does not have, or at its default, would never be found."""
    recipes = {row.recipe for layout in layouts() for row in layout.rows}
    assert len(recipes) > 15
    for recipe in recipes - {"fesd*"}:
        method, params = re.fullmatch(r"(\w+)(?:\((.*?)\))?(?:, .*)?", recipe).groups()  # type: ignore[union-attr]
        declared = METHOD.declaration(method, method)
        given = dict(pair.split("=") for pair in (params or "").split(", ") if pair)
        assert list(given) == sorted(given)
        for name, text in given.items():
            default = declared.says.defaults[name]
            assert declared.params({name: type(default)(text)}, recipe)[name] != default
            assert f"{type(default)(text)}" == text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_papers_tables_compile(tmp_path: Path) -> None:
    bands = rows(
        *(seeds(r, fid(80.0)) for r in ("none", "wkd", "wkd(bands=low)", "wkd(bands=both)"))
    )
    shift = rows(
        *(seeds(r, fid(70.0)) for r in ("dcd", "fesd(lambda_spec=0.0)", *SHIFTS, UNSHIFTED))
    )
    tables = [only("wkd_tables_1_to_3", wkd_rows()), only("fesd_table_1", fesd_rows())]
    tables += [only("wkd_table_4", bands), *made("fesd_tables_3_to_5", shift)]
    text = "\n".join(latex.latex(table) for table in tables)
    assert "U+" not in text
    done = compiled(tmp_path, [text])
    assert done.returncode == 0, done.stdout[-2000:]
