"""Tables and pages from rows: golden output, honest gaps, nothing unescaped."""

from __future__ import annotations

import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from tiny import tiny_plan

from bench.compare.accepted import accept
from bench.compare.methods import compare_methods, ports
from bench.compare.tables import quality_table
from bench.contracts.kinds import REPORT
from bench.contracts.report import Bold, Rows, Table
from bench.errors import ReportError
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.scores import image_scores, network_id, network_metrics, record, score_id
from bench.plan.suite import load
from bench.plugins.source import ROOT
from bench.report import latex, render
from bench.report.publish import collect, publish
from bench.report.rows import score_rows, state_of
from bench.store.layout import Store, write_json
from reports._format import Note, holes, merged, protocol_of, protocols, spread
from reports.band_error import BandErrors
from reports.results import Results
from reports.selection import Selection
from reports.status import Status

METRICS = ["params", "macs", "latency", "psnr", "band_error"]
PSNR = {"none": (20.0, 22.0), "hinton": (21.0, 24.0), "wkd": (19.5, 23.0)}
NETWORK = {
    2: {"params": {"params": 1.5e6}, "macs": {"macs": 4e7, "macs_c2": 1.0, "macs_c3": 1.0}},
    4: {"params": {"params": 6e6}, "macs": {"macs": 1.2e9, "macs_c2": 1.0, "macs_c3": 1.0}},
}
LATENCY = {"latency": 3.256, "latency_q1": 3.0, "latency_q3": 4.0}


def filled(folder: Path, **changes: Any) -> tuple[Plan, Store]:
    """Return a plan and a store in which every cell has ended with scores made up here."""
    plan = tiny_plan(folder, **({"seeds": [0, 1], "metrics": METRICS} | changes))
    store = Store(folder / "runs")
    for entry in plan.entries:
        if entry.cell is not None:
            finish(store, plan, entry)
    return plan, store


def finish(store: Store, plan: Plan, entry: Any, psnr: float | None = None) -> None:
    cell = entry.cell
    store.write(cell.key, "spec.json", {"key": cell.key, "provenance": ""})
    store.write(cell.key, "end.json", {"status": "done", "seconds": 1.0})
    value = psnr if psnr is not None else PSNR.get(entry.method, (25.0, 25.0))[entry.seed]
    made = {"psnr": {"psnr": value}, "band_error": {"LL3": 0.25, "HH1": value / 10}}
    store.write(
        cell.key,
        "scores.json",
        {
            wanted.id: record(wanted.metric, wanted.protocol, made[wanted.metric.name], "", 1.0)
            for wanted in image_scores(cell, plan.metrics)
        },
    )
    values = NETWORK[cell.nets.width] | {"latency": LATENCY}
    protocol = {"size": cell.size, **cell.numerics}
    write_json(
        store.network(network_id(cell)),
        {
            score_id(part, protocol): record(part, protocol, values[part.name], "", 1.0)
            for part in network_metrics(cell, plan.metrics)
        },
    )


def results(plan: Plan, store: Store) -> Table:
    return next(Results().make(collect(plan, store)))


def gains(plan: Plan, store: Store) -> Table:
    _, table = Results().make(collect(plan, store))
    return table


def test_the_main_table_is_the_golden_one(tmp_path: Path) -> None:
    """Means, deviations (n - 1) and paired gains, computed by hand from PSNR above."""
    suite = filled(tmp_path)
    assert render.comma_separated(results(*suite)) == (
        "Data,Width,#Params,MACs,Method,PSNR [dB] ↑,latency [ms] ↓\n"
        '"photo_edges, unet",4,6.00M,1.20G,teacher,25.00,"3.26 [3.00, 4.00]"\n'
        ',2,1.50M (4.00×),0.04G (30.00×),none,21.00 ± 1.41,"3.26 [3.00, 4.00]"\n'
        ',,,,hinton,22.50 ± 2.12,"3.26 [3.00, 4.00]"\n'
        ',,,,wkd,21.25 ± 2.47,"3.26 [3.00, 4.00]"\n'
    )
    assert render.comma_separated(gains(*suite)) == (
        "Data,Width,Method,Δ PSNR [dB]\n"
        '"photo_edges, unet",2,hinton,+1.50 ± 0.71\n'
        ",,wkd,+0.25 ± 1.06\n"
    )


def test_a_port_is_called_one_in_every_table_of_methods(tmp_path: Path) -> None:
    """In every report whose tables name methods, and in `compare`."""
    methods = {"none": {}, "mine": {"method": "pca_kd"}, "wkd": {}}
    plan, store = filled(tmp_path, methods=methods, datasets=["photo_edges", "photo_textures"])
    found = collect(plan, store)
    found = replace(found, snapshots=found.scores.query("metric == 'psnr' and role == 'student'"))
    made = [item for name in REPORT.names() for item in REPORT.load(name, "here")().make(found)]
    tables = [item for item in made if isinstance(item, Table)]
    compared = quality_table(
        compare_methods(found, "mine", ["none"])[0], "mine", ["none"], ports(found, "mine", "none")
    )
    named = set()
    for table in tables:
        cells = [*table.header, *(cell for block in table.blocks for row in block for cell in row)]
        assert "mine" not in cells
        if "mine †" in cells:
            named.add(table.name)
            assert "† pca_kd: port of a style-transfer method." in table.notes
    assert named >= {
        "results", "gains", "significance", "ranks", "selection", "status", "band_error",
    }  # fmt: skip
    assert compared.header[2:4] == ["mine †", "none"]
    assert compared.caption.endswith("† pca_kd: port of a style-transfer method.")


def test_the_best_of_survivors_says_how_many_there_are(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    lost = {(e.method, e.seed): e.cell for e in plan.students}
    store.write(lost["hinton", 1].key, "end.json", {"status": "diverged", "step": 12})
    for seed in (0, 1):
        store.fail(lost["wkd", seed].key, "no memory")
    found = collect(plan, store)
    found = replace(found, snapshots=found.scores.query("metric == 'psnr' and role == 'student'"))
    (table,) = Selection().make(found)
    assert isinstance(table, Table)
    assert [row[2:6] for block in table.blocks for row in block] == [
        ["none", "PSNR [dB] ↑", "21.00 ± 1.41", "21.00 ± 1.41"],
        ["hinton [1 diverged]", "PSNR [dB] ↑", "21.00 (n=1/2)", "21.00 (n=1/2)"],
        ["wkd [2 failed]", "PSNR [dB] ↑", "—", "—"],
    ]


def test_status_tells_discriminators_apart(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, discriminator_widths=[2, 4], seeds=[0])
    (table,) = Status().make(collect(plan, store))
    assert isinstance(table, Table)
    shown = [tuple(row[2:5]) for block in table.blocks for row in block]
    assert ("wkd", "2 (D 4)", "0") in shown
    assert len(set(shown)) == len(shown)


def test_every_column_says_its_protocol(tmp_path: Path) -> None:
    notes = results(*filled(tmp_path)).notes
    assert any(
        n.startswith("PSNR (photo_edges, unet): test split, 75 images of 32 px, resized bicubic")
        and "rounded to 8 bits, last checkpoint, eval mode, real set" in n
        for n in notes
    )
    assert "latency (photo_edges, unet): precision fp32, size 32." in notes


def test_a_missing_or_diverged_seed_is_shown_and_not_averaged_away(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    lost = {e.method: e.cell for e in plan.students if e.seed == 1}
    store.write(lost["wkd"].key, "end.json", {"status": "diverged", "step": 12})
    store.fail(lost["hinton"].key, "no memory")
    (store.folder(lost["none"].key) / "end.json").unlink()
    rows = [row[4:6] for block in results(plan, store).blocks for row in block]
    assert rows[1:] == [
        ["none [1 started]", "20.00 (n=1/2)"],
        ["hinton [1 failed]", "21.00 (n=1/2)"],
        ["wkd [1 diverged]", "19.50 (n=1/2)"],
    ]
    assert [row[2:] for row in gains(plan, store).blocks[0]] == [
        ["hinton [1 failed]", "+1.00 (n=1/2)"],
        ["wkd [1 diverged]", "-0.50 (n=1/2)"],
    ]


def test_a_method_with_an_infinite_score_is_not_bold(tmp_path: Path) -> None:
    """Six of its seven seeds would do."""
    plan = tiny_plan(tmp_path, seeds=list(range(7)), methods=["none", "wkd"], metrics=["psnr"])
    store = Store(tmp_path / "runs")
    for odd, bold in ((30.0, 1), (float("inf"), 0)):
        for entry in plan.entries:
            worth = odd if entry.seed == 6 else 30.0
            finish(store, plan, entry, worth if entry.method == "wkd" else 20.0)
        cells = [c for block in results(plan, store).blocks for row in block for c in row]
        assert sum(isinstance(cell, Bold) for cell in cells) == bold
    assert "30.00 ± 0.00 (n=6/7)" in cells


def test_a_method_without_any_seed_has_dashes(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    for entry in plan.students:
        if entry.method == "wkd" and entry.cell:
            store.fail(entry.cell.key, "no")
    assert results(plan, store).blocks[-1][-1][4:6] == ["wkd [2 failed]", "—"]
    assert gains(plan, store).blocks[-1][-1][2:] == ["wkd [2 failed]", "—"]


def test_two_protocols_never_share_a_column(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    frame = pd.DataFrame(list(score_rows(plan, store)))
    psnr = frame[frame["metric"] == "psnr"].copy()
    psnr.loc[psnr.index[0], "protocol"] = psnr["protocol"].iloc[0].replace("75", "10")
    with pytest.raises(ReportError, match=r"two protocols \(images: 10 and 75\)"):
        protocol_of(psnr)


def test_two_metrics_of_one_label_have_a_protocol_each(tmp_path: Path) -> None:
    frame = pd.DataFrame(list(score_rows(*filled(tmp_path))))
    psnr = frame[frame["metric"] == "psnr"]
    other = psnr.assign(metric="mine", protocol=psnr["protocol"].str.replace("75", "10"))
    notes = merged(protocols(pd.concat([psnr, other]), "here"))
    assert [note.partition(" images")[0] for note in notes] == [
        "PSNR (psnr) (here): test split, 75",
        "PSNR (mine) (here): test split, 10",
    ]
    unlike = [psnr.assign(value=None, reason="a"), other.assign(value=None, reason="b")]
    notes = merged(holes(pd.concat(unlike), "h"))
    assert notes == ["PSNR (psnr) (h): a.", "PSNR (mine) (h): b."]


def test_what_holds_at_several_places_is_said_once() -> None:
    notes = [
        Note("n", "a", "2 seeds"),
        "Text.",
        Note("n", "b", "3 seeds"),
        Note("n", "c", "2 seeds"),
    ]
    assert merged([*notes, *notes]) == ["n (a; c): 2 seeds.", "Text.", "n (b): 3 seeds."]


def test_a_score_that_is_no_number_is_called_that(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    finish(store, plan, plan.students[0], float("nan"))
    found = collect(plan, store)
    assert "PSNR (photo_edges, unet): not a number." in next(Results().make(found)).notes
    (table,) = Status().make(found)
    said = [row[6] for block in table.blocks for row in block]
    assert sorted(set(said)) == ["", "PSNR is no number; band error is no number"]


def test_a_score_that_is_no_number_says_why(tmp_path: Path) -> None:
    """As the metric declares; in the table, the status, and where a gate would accept it."""
    plan = tiny_plan(tmp_path, metrics=["swd"], methods=["none"], seeds=[0, 1])
    store = Store(tmp_path / "runs")
    for entry in plan.entries:
        cell = entry.cell
        store.write(cell.key, "end.json", {"status": "done", "seconds": 1.0})
        (swd,) = image_scores(cell, plan.metrics)
        values = {"swd_32": 1.0, "swd": 1.0 if entry.seed else float("nan")}
        scores = {swd.id: record(swd.metric, swd.protocol, values, "", 1.0)}
        store.write(cell.key, "scores.json", scores)
    found = collect(plan, store)
    why = "a channel of one set has no contrast at some level"
    assert f"SWD (photo_edges, unet): not a number: {why}." in next(Results().make(found)).notes
    (table,) = Status().make(found)
    assert {row[6] for block in table.blocks for row in block} == {"", f"SWD is no number: {why}"}
    with pytest.raises(ReportError, match=f"none: swd is nan at seed 0: {why}; a gate needs"):
        accept(found, {}, {}, {}, 0.05)


def test_lower_is_better_turns_the_sign_of_a_gain(tmp_path: Path) -> None:
    frame = collect(*filled(tmp_path))
    scores = frame.scores.assign(better="lower")
    _, table = Results().make(Rows("", "", frame.entries, scores))
    assert table.blocks[0][0][3] == "-1.50 ± 0.71"


def test_one_seed_has_no_deviation() -> None:
    assert spread(pd.Series([1.0]), 1, 2) == "1.00"
    assert spread(pd.Series([1.0]), 8, 2) == "1.00 (n=1/8)"
    assert spread(pd.Series([], dtype=float), 8, 2) == "—"
    assert spread(pd.Series([2.0, 2.0]), 2, 1, signed=True) == "+2.0 ± 0.0"


def test_a_skipped_cell_has_its_reason(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    (teacher,) = [e for e in plan.entries if e.role == "teacher"]
    assert teacher.cell is not None
    student = next(e for e in plan.students if e.method == "wkd")
    shutil.rmtree(store.folder(student.cell.key))
    store.write(teacher.cell.key, "end.json", {"status": "diverged", "step": 3})
    state = state_of(student, plan, store)
    assert str(state) == f"skipped (its teacher {teacher.cell.key}: diverged (step 3))"


PAPER = ROOT / "docs" / "paper" / "template.tex"
HOSTILE = "<script>alert(1)</script>|$x_1$ & \\input{/etc/passwd} **b** %\n#"


def hostile(folder: Path) -> tuple[Plan, Store]:
    methods = {"none": {}, HOSTILE: {"method": "wkd"}}
    plan = tiny_plan(folder, methods=methods, metrics=METRICS)
    store = Store(folder / "runs")
    for entry in plan.entries:
        finish(store, plan, entry, psnr=20.0)
        for role in ("input", "output", "target"):
            path = store.folder(entry.cell.key) / "samples" / f"AtoB-0-{role}.png"  # type: ignore[union-attr]
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    return plan, store


class Tags(html.parser.HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [v or "" for n, v in attrs if n == "id"]
        self.sources += [v or "" for n, v in attrs if n in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_whole_in_itself_and_shows_hostile_names_as_text(tmp_path: Path) -> None:
    page = publish(*hostile(tmp_path), tmp_path / "report")
    tags = Tags()
    tags.feed(page.read_text())
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.tags.count("script") == 1  # the page's own, whose text has no names in it
    assert "<script>alert(1)</script>|$x_1$" in tags.text
    figures = ("band_error", "band_error_by_size", "grids-0-AtoB", "quality_cost", "samples-0-AtoB")
    # the samples are shown one by one: input, truth, three networks
    assert tags.tags.count("img") == len(figures) - 1 + 5
    linked = {f"#{i}" for i in tags.ids}
    files = {
        p.relative_to(tmp_path / "report").as_posix()
        for p in (tmp_path / "report").rglob("*")
        if p.is_file()
    }
    assert files == {
        "index.html", "answers.md", "rows.csv", "bundle.json",
        *(f"tables/{n}.{s}" for n in ("results", "gains", "significance", "band_error", "status") for s in ("md", "tex", "csv", "notes.tex")),
        *(f"figures/{n}.{s}" for n in figures for s in ("pdf", "png", "tex", "notes.tex")),
    }  # fmt: skip
    shown = {s for s in tags.sources if not s.startswith("data:image/png;base64,")}
    assert shown <= linked | files  # a page links to its own places and to its files
    assert files - shown == {"index.html", "answers.md", "rows.csv", "bundle.json"}
    assert tags.tags.count("table") == 5


def test_markdown_and_latex_hold_no_markup_from_outside(tmp_path: Path) -> None:
    table = results(*hostile(tmp_path))
    text = render.markdown(table)
    assert re.search(r"\\<script\\>alert\(1\)\\</script\\>\\\|", text)
    assert (
        len(
            {
                line.replace(r"\|", "").count("|")
                for line in text.splitlines()
                if line.startswith("|")
            }
        )
        == 1
    )
    text = latex.latex(table)
    assert r"\textbackslash{}input\{/\allowbreak{}etc/\allowbreak{}passwd\}" in text
    assert r"\$x\_\allowbreak{}1\$ \& " in text
    notes = latex.latex_notes(replace(table, notes=[HOSTILE]))
    assert r"\textbackslash{}input\{/\allowbreak{}etc/" in notes


def test_a_dollar_is_no_formula_in_markdown() -> None:
    """GitHub sets $x_1$ as one."""
    assert r"| \$x\_1\$ |" in render.markdown(Table("t", "T", "c", ["a"], [[["$x_1$"]]]))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_every_letter_that_is_set_as_it_is_compiles(tmp_path: Path) -> None:
    every = [[f"* {character}"] for character in sorted(latex.PLAIN | set(latex.LATEX))]
    tables = [Table("t", "T", "c", ["a"], [every[n : n + 40]]) for n in range(0, len(every), 40)]
    done = compiled(tmp_path, [latex.latex(table) for table in tables])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "all.log").read_text(errors="replace")


def compiled(folder: Path, parts: list[str]) -> subprocess.CompletedProcess[str]:
    """Compile tables in a paper of two columns by pdflatex, which stops at the first error."""
    preamble = PAPER.read_text().partition(r"\begin{document}")[0]
    lines = [preamble, r"\begin{document}", *parts, r"\end{document}"]
    (folder / "all.tex").write_text("\n".join(lines))
    return subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    publish(*hostile(tmp_path), tmp_path / "report")
    figures = tmp_path / "report" / "figures"
    files = sorted((tmp_path / "report").glob("*/*.tex"))
    assert len(files) > len(list(figures.glob("*.pdf"))) > 3
    parts = [rf"\graphicspath{{{{{figures}/}}}}", *(rf"\input{{{p}}}" for p in files)]
    done = compiled(tmp_path, [*parts, r"\clearpage"])
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout  # a table that leaves the page
    assert "Float too large" not in done.stdout


def test_a_report_of_nothing_yet_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    plan, store = tiny_plan(tmp_path), Store(tmp_path / "runs")
    command = f"`distillbench run {plan.suite.path} --store {store.root}` comes first"
    with pytest.raises(ReportError, match=re.escape(command)):
        publish(plan, store, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    store.fail(plan.students[0].cell.key, "no memory")
    assert "3 missing" in publish(plan, store, tmp_path / "report").read_text()


def test_unpaired_data_have_a_block_per_direction_and_a_reason_for_no_psnr(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, datasets=["grass2brick"], architectures=["resnet9"], metrics=METRICS)
    store = Store(tmp_path / "runs")
    for entry in plan.entries:
        finish(store, plan, entry)
        cell = entry.cell
        assert cell is not None
        scores = store.scores(cell.key)
        empty = {k: s | {"values": {}, "reason": "needs a ground truth"} for k, s in scores.items()}
        store.write(cell.key, "scores.json", empty)
    table = results(plan, store)
    assert [block[0][0] for block in table.blocks if block[0][0]] == [
        "grass2brick AtoB, resnet9",
        "grass2brick BtoA, resnet9",
    ]
    assert not any("PSNR" in heading for heading in table.header)  # a column of nothing
    assert len(list(Results().make(collect(plan, store)))) == 1  # nothing to gain
    assert any("PSNR" in note and note.endswith("needs a ground truth.") for note in table.notes)
    frame = collect(plan, store).scores
    assert set(frame.loc[frame["metric"] == "psnr", "reason"]) == {"needs a ground truth"}


def test_bands_that_one_data_set_cannot_have_are_a_note_and_no_column(tmp_path: Path) -> None:
    """One suite of paired and unpaired data: here ten values without a headline, there a reason."""
    plan = tiny_plan(tmp_path, datasets=["photo_edges", "grass2brick"], metrics=METRICS)
    store = Store(tmp_path / "runs")
    for entry in plan.entries:
        finish(store, plan, entry)
        assert entry.cell is not None
        scores = store.scores(entry.cell.key)
        for score in scores.values():
            if entry.dataset == "grass2brick" and score["metric"] == "band_error":
                score |= {"values": {}, "reason": "needs a ground truth"}
        store.write(entry.cell.key, "scores.json", scores)
    table = results(plan, store)
    assert not [heading for heading in table.header if "band" in heading]
    places = "grass2brick AtoB, unet; grass2brick BtoA, unet"
    assert f"band error ({places}): needs a ground truth." in table.notes
    assert "| grass2brick BtoA, unet |" in render.markdown(table)


def test_reporting_imports_no_torch(tmp_path: Path) -> None:
    plan, _ = filled(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from bench.plan.expand import expand; from bench.plan.suite import load\n"
        "from bench.report.publish import publish; from bench.store.layout import Store\n"
        f"publish(expand(load(Path({str(plan.suite.path)!r}))), Store(Path({str(tmp_path / 'runs')!r})), Path({str(tmp_path / 'r')!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", code], check=True)


def test_loss_curves_are_rows_thinned_evenly_from_the_first_to_the_last(tmp_path: Path) -> None:
    methods = {"none": {}, "wkd": {}, "wkd3": {"method": "wkd", "levels": 3}}  # one cell twice
    plan, store = filled(tmp_path, methods=methods, seeds=[0])
    keys = {e.method: e.cell.key for e in plan.entries if e.cell}
    for step in range(1, 1001):
        terms = {"gan": step / 2, "wkd": 1.0}
        store.log_losses(keys["wkd"], {"step": step, "seconds": 1, "time": 1, "losses": terms})
    teachers = {"step": 5, "seconds": 1, "time": 1, "losses": {"gan": 0.5}}
    store.log_losses(keys["teacher"], teachers)
    losses = collect(plan, store).losses
    assert set(losses["method"]) == {"teacher", "wkd", "wkd3"}
    (teacher,) = losses[losses["role"] == "teacher"].to_dict("records")
    assert (teacher["step"], teacher["term"], teacher["value"]) == (5, "gan", 0.5)
    assert teacher["key"] == keys["teacher"]
    for method in ("wkd", "wkd3"):
        curve = losses[(losses["method"] == method) & (losses["term"] == "gan")]
        assert len(curve) == 200
        assert [curve["step"].min(), curve["step"].max()] == [1, 1000]
        assert set(curve["step"].diff().dropna()) == {5, 6}
        assert (curve["value"] == curve["step"] / 2).all()


def test_what_a_method_found_out_is_in_its_row(tmp_path: Path) -> None:
    plan, store = filled(tmp_path, seeds=[0])
    cell = plan.students[1].cell
    store.write(cell.key, "end.json", {"status": "done", "facts": {"AtoB": {"rank": 3}}})
    entries = collect(plan, store).entries
    assert entries.set_index("key").loc[cell.key, "facts"] == {"AtoB": {"rank": 3}}
    assert list(entries["facts"]).count({}) == len(entries) - 1


def test_a_bundle_holds_what_a_table_rests_on(tmp_path: Path) -> None:
    import json

    plan, store = filled(tmp_path)
    publish(plan, store, tmp_path / "report")
    bundle = json.loads((tmp_path / "report" / "bundle.json").read_text())
    assert set(bundle["cells"]) == set(plan.cells)
    again = expand(load(plan.suite.path))
    assert bundle["suite"]["methods"] == again.suite.methods
    assert all(cell["end"]["status"] == "done" for cell in bundle["cells"].values())
    files = {
        p.relative_to(tmp_path / "report").as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in (tmp_path / "report").rglob("*.*")
    }
    assert bundle["files"] == {n: h for n, h in files.items() if n != "bundle.json"}


def test_a_report_leaves_nothing_of_an_earlier_one_of_its_folder(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    out = tmp_path / "report"
    publish(plan, store, out)
    gone = json.loads((out / "bundle.json").read_text())
    for name in ("tables/old.md", "tables/edited.md", "old.md", "../old.md", "tables/../../old.md"):
        (out / name).write_text("old")
        gone["files"][name] = hashlib.sha256(b"old").hexdigest()
    (out / "tables" / "mine.md").write_text("old")
    (out / "tables" / "edited.md").write_text("a note")
    write_json(out / "bundle.json", gone)
    publish(plan, store, out)
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.md")}
    assert {"old.md", "report/old.md", "report/tables/mine.md", "report/tables/edited.md"} <= left
    assert "report/tables/old.md" not in left
    assert "report/tables/results.md" in left


def test_one_method_alone_still_has_its_figure(tmp_path: Path) -> None:
    page = publish(*filled(tmp_path, methods=["none"]), tmp_path / "report")
    assert "<img" in page.read_text()


def test_one_cell_under_two_names_counts_once_under_each(tmp_path: Path) -> None:
    methods = {"none": {}, "wkd": {}, "wkd3": {"method": "wkd", "levels": 3}}
    plan, store = filled(tmp_path, methods=methods)
    assert len({e.cell.key for e in plan.students if e.cell}) == 4
    items = list(BandErrors().make(collect(plan, store)))
    (table,) = [item for item in items if isinstance(item, Table)]
    cells = {row[2]: row[3:] for block in table.blocks for row in block}
    assert cells["wkd"] == cells["wkd3"]
    assert not any("n=" in cell for cell in cells["wkd"])


def test_a_bracket_at_the_start_of_a_row_is_no_argument_in_latex() -> None:
    table = Table("t", "T", "c", ["a"], [[["x"], ["[y] β"]]])
    assert "{[}y]" in latex.latex(table)
    assert r"{[}y] $\beta$" in latex.latex(table)  # pdflatex has no such letter
    starred = latex.latex(Table("t", "T", "c", ["a"], [[["x"], ["*y ą"]]]))
    assert "\n{*}y U+0105" in starred  # a star would belong to the end of the row above


def test_every_greek_letter_and_curly_quote_is_set_as_itself(tmp_path: Path) -> None:
    """Not as its code."""
    greek = [chr(code) for code in range(0x391, 0x3CA) if unicodedata.category(chr(code))[0] == "L"]
    plain = "".join(sign for sign in greek if not unicodedata.decomposition(sign))  # no accents
    assert len(plain) == 24 + 25  # with the s at the end of words
    said = latex.escaped(plain + "“a” ‘b’ „c’s‚")
    assert "U+" not in said
    assert latex.escaped("β-VAE, λ=Ω") == r"$\beta$-VAE, $\lambda$=$\Omega$"
    assert latex.escaped("“a” ‘b’") == "``a'' `b'"
    if shutil.which("pdflatex"):
        assert compiled(tmp_path, [said]).returncode == 0


def test_latency_is_of_the_cells_own_numerics(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    half = tiny_plan(tmp_path, seeds=[0, 1], metrics=METRICS, precision="bf16")
    for entry in half.entries:
        store.write(entry.cell.key, "end.json", {"status": "done", "seconds": 1.0})
    frame = collect(half, store).scores
    latency = frame[frame["metric"] == "latency"]
    assert set(latency["reason"]) == {"not measured"}
    assert latency["value"].isna().all()
    assert collect(plan, store).scores.query("metric == 'latency'")["value"].notna().all()
    assert frame.loc[frame["metric"] == "params", "value"].notna().all()  # whatever the precision


def test_a_sample_without_its_output_is_left_out(tmp_path: Path) -> None:
    plan, store = filled(tmp_path)
    cell = plan.students[0].cell
    for entry in plan.entries:
        folder = store.folder(entry.cell.key) / "samples"
        folder.mkdir(parents=True)
        for role in ("input", "output", "target"):
            Image.new("RGB", (8, 8)).save(folder / f"AtoB-0-{role}.png")
        Image.new("RGB", (8, 8)).save(folder / "AtoB-1-input.png")
    assert cell is not None
    assert "<img" in publish(plan, store, tmp_path / "report").read_text()


def test_a_long_table_goes_on_over_pages_in_latex(tmp_path: Path) -> None:
    """A float that is too long for a page is cut off at its bottom."""
    blocks = [
        [[name if number == 0 else "", f"{name}{number}"] for number in range(count)]
        for name, count in (("a", 20), ("b", 30), ("c", 50))
    ]
    caption = "A caption that says much. " * 20
    notes = [f"Note {number}: " + "some protocol " * 10 for number in range(9)]
    text = latex.latex(Table("t", "T", caption, ["place", "row"], blocks, notes))
    parts = text.split(r"\begin{table}")[1:]
    rows = [re.findall(r"^(?:\\mult.*textit\{)?(\w\d*)\b", part, re.MULTILINE) for part in parts]
    named = [row for block in blocks for row in (block[0][0], *(row[1] for row in block))]
    assert [row for part in rows for row in part] == [
        *named[:50],
        "b",
        *named[50:99],
        "c",
        *named[99:],
    ]
    assert [part[:2] for part in rows] == [["a", "a0"], ["b", "b28"], ["c", "c46"]]
    assert r"\caption{T (continued, 2 of 3).}" in parts[1]
    assert r"\label{tab:t-2}" in parts[1]
    if shutil.which("pdflatex"):
        done = compiled(tmp_path, [text.replace(r"\end{table}", r"\end{table}\clearpage")])
        assert done.returncode == 0
        assert "Float too large" not in done.stdout


def test_latex_knows_every_sign_of_our_own() -> None:
    """A sign without a spelling is set as its code, as in "sd U+2020"."""
    texts = [
        path.read_text()
        for folder, kind in (("reports", "*.py"), ("bench", "**/*.py"), ("baselines", "*.py"))
        for path in (ROOT / folder).glob(kind)
        if path.name != "latex.py"
    ]
    signs = {sign for text in texts for sign in text if ord(sign) > 126}
    assert signs - set(latex.LATEX) - latex.PLAIN <= set("─│└├")  # of comments
