"""What goes into a paper as it is: columns that fit and align, labels, chosen metrics, answers."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.text import Text
from test_reports import compiled, finish
from tiny import tiny_plan

from bench.contracts.kinds import REPORT
from bench.contracts.report import Answer, Bold, Figure, Table
from bench.errors import ReportError, SuiteError
from bench.plan.matrix import Plan
from bench.report import columns, latex
from bench.report.publish import DRAWING, collect, publish
from bench.report.render import markdown, without_empty
from bench.report.shown import chosen
from bench.store.layout import Store
from reports.answers import Answers
from reports.significance import Significance

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
METHODS = ["none", "hinton", "at", "gan_compression", "wkd", "pca_kd", "sd"]


def suite(folder: Path, gains: dict[str, float], seeds: int = 4, **changes: Any) -> Any:
    """Return a plan and a store in which each method is better than the control by so much.

    Seeds differ by 1, and from one another by the same in every method, but for a hundredth.
    """
    given = {"seeds": list(range(seeds)), "metrics": ["params", "macs", "latency", "psnr"]}
    plan = tiny_plan(folder, **(given | {"methods": list(gains)} | changes))
    store = Store(folder / "runs")
    for entry in plan.entries:
        gain = gains.get(entry.method, 3.0)
        finish(store, plan, entry, 20.0 + entry.seed + gain * (1 + entry.seed / 100))
    return plan, store


def answers(plan: Plan, store: Store) -> list[Answer]:
    return list(Answers().make(collect(plan, store)))


def test_a_table_of_one_column_aligns_numbers_and_says_what_is_the_same_in_the_caption() -> None:
    """Every line by hand: a mean and its deviation are two columns, and bold stays bold."""
    table = Table(
        "scores",
        "Scores",
        "Much is said.",
        ["Data", "Width", "Method", "PSNR [dB] ↑", "FID ↓", "n", "MACs"],
        [
            [["edges", "8", "none", "9.50 ± 1.25", "—", "4", "1.20G"]],
            [
                ["", "8", "a_b", Bold("10.00 ± 10.00"), "—", "4", "0.40G (3.00×)"],
                ["", "8", "c", "-1.00 (n=1/4)", "", "4", "0.40G (3.00×)"],
                ["", "8", "d", "7.00 ± 1.00 (n=2/4)", "", "4", "0.40G (3.00×)"],
            ],
        ],
        brief="Over seeds.",
    )
    lines = latex.latex(table).splitlines()
    assert lines[1] == r"\begin{table}[t]"
    assert lines[3] == r"\caption{Scores. Data: edges. Width: 8. n: 4. Over seeds.}"
    assert lines[4] == r"\label{tab:scores}"
    tail = r"@{\hspace{1.6pt}}l"
    assert lines[6] == (
        rf"\begin{{tabular}}{{@{{}}lS[table-format=+2.2]{tail}S[table-format=1.2]{tail}@{{}}}}"
    )
    head = r"Method & \multicolumn{2}{c}{PSNR {[}dB] $\uparrow$} & \multicolumn{2}{c}{MACs {[}G]}"
    assert lines[8] == rf"{head} \\"
    assert [line for line in lines[10:] if "&" in line] == [
        r"none & 9.50 & $\pm$\,\phantom{0}1.25 & 1.20 &  \\",
        r"a\_b & \bfseries 10.00 & \bfseries $\pm$\,10.00 & 0.40 & (3.00$\times$) \\",
        r"c & -1.00 & (n=1/4) & 0.40 & (3.00$\times$) \\",
        r"d & 7.00 & $\pm$\,\phantom{0}1.00\ (n=2/4) & 0.40 & (3.00$\times$) \\",
    ]


def test_what_a_column_cannot_hold_takes_two_and_what_a_page_cannot_goes_on() -> None:
    def table(count: int) -> Table:
        head = ["Width", "Method", *(f"Metric {n}" for n in range(count))]
        rows = [
            [str(w), f"method {w}", *(f"{w}{n}.00 ± 1.00" for n in range(count))] for w in (1, 2)
        ]
        return Table("t", "T", "", head, [rows])

    assert r"\begin{table}[t]" in latex.latex(table(2))
    assert r"\begin{table*}[t]" in latex.latex(table(5))
    text = latex.latex(table(14))
    heads = re.findall(r"^\{Width\} & Method & .*$", text, re.MULTILINE)
    found = [re.findall(r"Metric (\d+)", head) for head in heads]
    assert [len(part) for part in found] == [7, 7]
    assert [int(n) for part in found for n in part] == list(range(14))
    assert r"\label{tab:t-2}" in text


def test_long_text_is_set_on_several_lines_before_columns_are_torn_apart() -> None:
    why = "a reason that goes on and on, as reasons do, " * 6
    text = latex.latex(
        Table("t", "T", "", ["Method", "Why", "n"], [[["a", why, "1"], ["b", "", "2"]]])
    )
    assert re.search(r"\{@\{\}l>\{\\raggedright\\arraybackslash\}p\{\d+\.\dpt\}S", text)
    assert text.count(r"\begin{table*}") == 1


def test_keys_are_no_numbers() -> None:
    for keys in (["12e4", "9a7f"], ["0123456789ab", "0123456789ac"], ["123456789012", "1"]):
        text = latex.latex(Table("t", "T", "", ["Cell"], [[[key] for key in keys]]))
        assert r"\begin{tabular}{@{}l@{}}" in text


def test_a_column_of_nothing_is_left_out() -> None:
    table = Table("t", "T", "", ["Method", "A", "B"], [[["x", "—", "1"]], [["y", "", "—"]]])
    assert without_empty(table).header == ["Method", "B"]
    assert "A" not in markdown(without_empty(table)).splitlines()[2]


@needs_latex
def test_widths_are_those_of_the_type_that_is_set(tmp_path: Path) -> None:
    """Measured by TeX: never wider than we say, nor much narrower."""
    texts = ["GAN Compression", "304.14", "photo_textures, unet", "95 % interval", "mmmm", "illi"]
    boxes = [
        rf"\fontsize{{8}}{{9.6}}\selectfont\settowidth{{\dimen0}}{{{latex.escaped(text)}}}"
        r"\typeout{wide=\the\dimen0}"
        for text in texts
    ]
    done = compiled(tmp_path, [*boxes, "x"])
    found = [float(wide) for wide in re.findall(r"wide=([\d.]+)pt", done.stdout)]
    assert len(found) == len(texts)
    for text, wide in zip(texts, found, strict=True):
        assert wide <= columns.width(text) <= 1.25 * wide + 2, text


LABELS = {"gan_compression": "GAN Compression", "none": "Student alone", "hinton": "=1+1"}


def labelled_methods(gains: dict[str, float]) -> dict[str, Any]:
    return {m: {"label": LABELS[m]} if m in LABELS else {} for m in gains}


@needs_latex
@pytest.mark.slow
def test_a_whole_report_goes_into_a_paper_of_two_columns(tmp_path: Path) -> None:
    """Nothing is wider than its column, smaller than 8 points, or shrunk."""
    gains = {method: number / 2 for number, method in enumerate(METHODS)}
    metrics = ["params", "macs", "latency", "psnr", "band_error"]
    places = {"datasets": ["photo_edges", "photo_textures"], "metrics": metrics}
    plan, store = suite(tmp_path, gains, methods=labelled_methods(gains), **places)
    out = tmp_path / "report"
    publish(plan, store, out)
    files = sorted(out.glob("*/*.tex"), key=lambda path: (".notes" in path.name, path))
    assert len(files) == 2 * len({*out.glob("tables/*.csv"), *out.glob("figures/*.pdf")}) > 12
    text = "".join(path.read_text() for path in files)
    for shrunk in ("resizebox", r"\tiny", r"\scriptsize", "scalebox"):
        assert shrunk not in text
    parts = [rf"\graphicspath{{{{{out}/figures/}}}}", *(rf"\input{{{path}}}" for path in files)]
    done = compiled(tmp_path, [*parts, r"\clearpage"])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Float too large" not in done.stdout
    assert [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)] == []


def test_figures_are_as_wide_as_paper_and_in_type_that_can_be_read(tmp_path: Path) -> None:
    """At most 7 inches, in 8 points or more: a figure is not shrunk."""
    gains = {"none": 0.0, "wkd": 1.0, "at": 2.0}
    plan, store = suite(tmp_path, gains, datasets=["photo_edges", "photo_textures"])
    mpl.use("Agg")
    rows = collect(plan, store)
    with mpl.rc_context(DRAWING):
        made = [i for name in REPORT.names() for i in REPORT.load(name, "here")().make(rows)]
        figures = [item for item in made if isinstance(item, Figure)]
        assert len(figures) >= 3
        for figure in figures:
            assert figure.drawing.get_figwidth() <= 7.0
            texts = [text for text in figure.drawing.findobj(Text) if text.get_text()]
            assert min(text.get_fontsize() for text in texts) >= 8, figure.name


def test_a_label_is_in_every_format_and_in_no_key(tmp_path: Path) -> None:
    gains = {"none": 0.0, "hinton": 1.0, "gan_compression": 2.0}
    places = {"datasets": {"photo_edges": {"label": "Edges & <b>lines</b>"}}}
    places |= {"architectures": {"unet": {"label": "U-Net"}}}
    plain, _ = suite(tmp_path, gains)
    plan, store = suite(tmp_path, gains, methods=labelled_methods(gains), **places)
    assert [e.cell.key for e in plan.students] == [e.cell.key for e in plain.students]
    out = tmp_path / "report"
    page = publish(plan, store, out).read_text()
    for where in (page, (out / "tables" / "results.md").read_text()):
        assert "GAN Compression" in where
        assert "gan_compression |" not in where
    assert "Edges &amp; &lt;b&gt;lines&lt;/b&gt;, U-Net" in page
    assert r"Data: Edges \& \textless{}b" in (out / "tables" / "gains.tex").read_text()
    with (out / "tables" / "gains.csv").open() as file:
        names = [row["Method"] for row in csv.DictReader(file)]
    assert names == ["'=1+1", "GAN Compression"]  # no spreadsheet takes it for a formula
    assert "gan_compression" in (out / "rows.csv").read_text()  # data keep their names


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (
            {"none": {}, "wkd": {"label": "none"}},
            r"methods\.wkd\.label: methods\.none is called 'none'",
        ),
        ({"none": {}, "wkd": {"label": ""}}, r"methods\.wkd\.label: should be text on one line"),
        ({"none": {}, "wkd": {"label": 3}}, r"methods\.wkd\.label: .*found 3"),
        (
            {"none": {}, "wkd": {"label": "a\nb"}},
            r"methods\.wkd\.label: should be text on one line",
        ),
    ],
)
def test_a_label_that_cannot_stand_is_refused(
    tmp_path: Path, methods: dict[str, Any], said: str
) -> None:
    with pytest.raises(SuiteError, match=said):
        tiny_plan(tmp_path, methods=methods)


def test_printed_numbers_are_found_whatever_a_row_is_called() -> None:
    import pandas as pd

    from reports._printed import same_place, unlabelled

    entries = pd.DataFrame(
        {"dataset": ["D"], "architecture": ["A"], "width": [64], "recipe": ["wkd"]}
    )
    entries = entries.assign(dataset_name=["horse2zebra"], architecture_name=["resnet9"])
    place = pd.Series(
        {"dataset": "horse2zebra", "architecture": "resnet9", "width": 64, "recipe": "wkd"}
    )
    assert len(same_place(entries, place)) == 1
    assert list(same_place(entries, place)["dataset"]) == ["D"]
    assert list(unlabelled(entries)["architecture"]) == ["resnet9"]


def test_chosen_metrics_are_all_that_tables_show_in_their_order(tmp_path: Path) -> None:
    plan, store = suite(tmp_path, {"none": 0.0, "wkd": 1.0})
    out = tmp_path / "report"
    publish(plan, store, out, metrics=["latency", "psnr"])
    head = (out / "tables" / "results.csv").read_text().splitlines()[0]
    assert head == "Data,Width,Method,latency [ms] ↓,PSNR [dB] ↑"
    assert ",macs," in (out / "rows.csv").read_text()  # every value is there all the same
    with pytest.raises(
        ReportError, match=r"--columns: unknown metric 'psnrr'.*Did you mean 'psnr'"
    ):
        chosen(collect(plan, store), ["psnrr"])


def test_four_seeds_of_six_methods_cannot_tell_and_the_answer_says_so(tmp_path: Path) -> None:
    """2 / 2^4 = 0.125; over six methods 9 seeds are needed: 6 * 2 / 2^8 = 0.047, so 8."""
    plan, store = suite(tmp_path, {method: number / 2 for number, method in enumerate(METHODS)})
    (answer,) = answers(plan, store)
    assert answer.about == "photo_edges, unet, width 2"
    assert answer.said.startswith(
        "These 4 seeds cannot tell the methods from the student alone by PSNR: the largest gain is "
        "sd's (+3.04 dB over the student alone, n = 4, 95 % interval [+3.01, +3.08], p = 0.7500 "
        "after Holm over 6); 6 methods need 8 seeds"
    )
    (table,) = Significance().make(collect(plan, store))
    assert table.idle == "of 4 seeds, too few to show any"


def test_a_method_that_beats_every_other_is_named_as_the_table_has_it_in_bold(
    tmp_path: Path,
) -> None:
    plan, store = suite(tmp_path, {"none": 0.0, "at": 1.2, "wkd": 2.0}, seeds=8)
    (answer,) = answers(plan, store)
    assert answer.said.startswith(
        "wkd is better than every other method by PSNR: 25.57 dB against "
    )
    assert "24.74 of at (8 common seeds; p ≤ 0.05 against each); +2.07 dB over the" in answer.said
    cells = [c for t in publish_tables(plan, store) for b in t.blocks for row in b for c in row]
    assert any(isinstance(cell, Bold) for cell in cells)


def publish_tables(plan: Plan, store: Store) -> list[Table]:
    from reports.results import Results

    return list(Results().make(collect(plan, store)))


def test_who_beats_the_student_alone_is_told_where_nobody_beats_everybody(tmp_path: Path) -> None:
    plan, store = suite(tmp_path, {"none": 0.0, "at": 2.0, "wkd": 2.0, "hinton": -1.0}, seeds=8)
    (answer,) = answers(plan, store)
    assert answer.said.startswith("at and wkd are better than the student alone by PSNR (the most")
    assert answer.said.endswith("hinton is worse; which of them is best these seeds cannot tell.")


def test_one_seed_and_no_control_tell_nothing(tmp_path: Path) -> None:
    plan, store = suite(tmp_path, {"at": 1.0, "wkd": 2.0}, seeds=1)
    (answer,) = answers(plan, store)
    assert answer.said == (
        "One seed cannot tell who is best by PSNR; the best mean is wkd's: "
        "22.00 dB against 21.00 of at."
    )


def test_nobody_is_done_while_scores_are_missing(tmp_path: Path) -> None:
    plan, store = suite(tmp_path, {"none": 0.0, "wkd": 1.0}, seeds=2)
    out = tmp_path / "report"
    assert ">5 done<" in publish(plan, store, out).read_text()
    store.write(plan.students[0].cell.key, "scores.json", {})
    for metrics in ((), ["params"], ["psnr"]):  # whatever is shown of them
        page = publish(plan, store, out, metrics=metrics).read_text()
        assert '<span class="done">4 done</span>' in page
        assert '<span class="trained">1 trained, without PSNR</span>' in page
        status = (out / "tables" / "status.csv").read_text()
        assert status.count("without PSNR") == 1


def test_a_page_folds_what_can_show_nothing_and_says_a_protocol_once(tmp_path: Path) -> None:
    plan, store = suite(tmp_path, {"none": 0.0, "at": 1.0, "wkd": 2.0}, seeds=2)
    page = publish(plan, store, tmp_path / "report").read_text()
    assert "<details><summary>A table of 2 seeds, too few to show any</summary>" in page
    said = re.findall(r"test split, 75 images[^<]*", page)
    assert len(said) == len(set(said)) == 1
    assert ">as in note 1</a>" in page
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert len(titles) == len(set(titles))
    assert titles[0] == "Answers"


def test_a_table_and_a_figure_of_one_title_share_a_heading(tmp_path: Path) -> None:
    gains = {"none": 0.0, "at": 1.0, "wkd": 2.0}
    plan, store = suite(tmp_path, gains, datasets=["photo_edges", "photo_textures"])
    page = publish(plan, store, tmp_path / "report").read_text()
    assert page.count("Mean ranks over data sets</h2>") == 1
    assert 'id="figure-ranks"' in page
    assert 'id="table-ranks"' in page


def test_a_note_keeps_its_parts() -> None:
    from bench.contracts.report import Note

    note = Note("PSNR (edges)", "test split")
    assert (note, note.about, note.said) == (
        "PSNR (edges): test split.",
        "PSNR (edges)",
        "test split",
    )
    assert replace(Table("t", "T", "c", [], []), notes=[note]).notes[0].said == "test split"
