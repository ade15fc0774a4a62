"""The page in a real browser: no console errors, sorting, the slider, a phone's width."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from PIL import Image
from tiny import tiny_plan

from bench.contracts.report import Figure, Table
from bench.report import publish as publishing
from bench.report.publish import publish
from bench.report.render import filled
from bench.store.layout import Store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

HOSTILE = "<img src=x onerror=alert(1)>"
TABLE = Table(
    "scores",
    f"Scores of {HOSTILE}",
    f"All of {HOSTILE}.",
    ["Data", "Method", "PSNR", "Cell"],
    [
        [
            ["edges", "none", "9.5 ± 1", "1e5"],
            ["", HOSTILE, "-0.5 [1, 2]", "07a"],
            ["", "far", "inf", "b1"],
        ],
        [["maps", "none", "—", "c2"], ["", "wkd", "10 ± 0.1", "10f"], ["", "both", "", "9d"]],
    ],
    [f"Note on {HOSTILE}."],
)


def test_a_row_brings_along_what_stands_above_it() -> None:
    table = Table("t", "T", "", ["a", "b", "c"], [[["x", "1", ""], ["", "", "p"]], [["", "2", ""]]])
    assert filled(table) == [
        [
            [("x", False), ("1", False), ("", False)],
            [("x", True), ("1", True), ("p", False)],
        ],
        [[("x", True), ("2", False), ("", False)]],
    ]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of one table and one figure, full of hostile names."""
    frames = []
    for name, colour in (("input", "white"), (HOSTILE, "red"), ("wkd", "blue")):
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (8, 8), colour).save(path)
        frames.append((name, [path, path]))
    figure = Figure("grid", HOSTILE, HOSTILE, plt.figure(figsize=(20, 2)), [HOSTILE], frames)
    monkeypatch.setattr(publishing, "_items", lambda *_: iter([TABLE, figure]))
    plan = tiny_plan(tmp_path, methods={"none": {}, HOSTILE: {"method": "wkd"}})
    store = Store(tmp_path / "runs")
    store.fail(plan.students[0].cell.key, "no memory")
    runs = {"07a": "http://server/#/experiments/1/runs/2", "b1": 'http://x/"><script>'}
    return publish(plan, store, tmp_path / "report", "http://server/#/e", runs)


def browse(page: Path) -> tuple[str, list[str]]:
    """Open a page from disk; return the document as it is then, and what the console said."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={page.parent / 'profile'}", "--enable-logging=stderr", "--v=0"]
    command = [CHROMIUM, *options, "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=2000)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_chromium
def test_the_page_opens_from_disk_without_errors_and_shows_hostile_names_as_text(
    page: Path,
) -> None:
    document, console = browse(page)
    assert console == []
    assert document.count("<table>") == 1
    assert len(re.findall('<th [^>]*aria-sort="none"><button type="button">', document)) == 4
    assert HOSTILE not in document
    assert document.count(html.escape(HOSTILE, quote=False)) >= 10
    assert '<a href="http://server/#/experiments/1/runs/2">07a</a>' in document
    assert re.findall(r"<script", document) == ["<script"]
    assert '<html lang="en">' in document


@needs_chromium
def test_the_page_runs_no_script_but_its_own(page: Path) -> None:
    foreign = "<script>document.title = 'taken'</script></body>"
    page.write_text(page.read_text().replace("</body>", foreign))
    document, console = browse(page)
    assert "<title>tiny · distillbench</title>" in document
    assert "Content Security Policy" in console[0]


DRIVER = """
const texts = (column) => [...document.querySelectorAll("tbody tr")].map(
  (row) => row.cells[column].textContent);
const heads = [...document.querySelectorAll("th")];
const press = (column) => heads[column].querySelector("button").click();
const found = { states: [] };
const look = (name, column) => {
  found[name] = texts(column);
  found.states.push(heads[column].getAttribute("aria-sort"));
};
press(2); look("up", 2);
press(2); look("down", 2);
found.data = texts(0);
found.shown = getComputedStyle(document.querySelectorAll(".same span")[0]).opacity;
press(2); look("home", 2);
found.hidden = getComputedStyle(document.querySelectorAll(".same span")[0]).opacity;
found.blocks = [...document.querySelectorAll("tbody")].map((body) => body.rows.length);
press(3); look("words", 3);
press(2); found.other = heads[3].getAttribute("aria-sort");
const slider = document.querySelector("input[type=range]");
const frame = () => [...document.querySelectorAll(".frame")].map((f) => f.checkVisibility());
found.first = frame();
slider.stepUp(2);
slider.dispatchEvent(new Event("input"));
found.second = frame();
found.spoken = [slider.ariaValueText, document.querySelector("output").textContent];
found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
heads[3].style.minWidth = "20rem";
const region = document.querySelector("[role=region]");
found.scrolls = region.scrollWidth > region.clientWidth && region.tabIndex === 0;
const subject = document.querySelector("td.subject");
const place = () => subject.getBoundingClientRect();
const window_ = region.getBoundingClientRect();
found.seen = [0, 10000].map((to) => {
  region.scrollLeft = to;
  return place().left >= window_.left - 1 && place().left < window_.right - 40;
});
found.moved = region.scrollLeft;
subject.textContent = "a label of many words ".repeat(6) + "letter".repeat(30);
found.share = subject.getBoundingClientRect().width / innerWidth;
parent.postMessage(JSON.stringify(found), "*");
"""


@pytest.fixture
def driven(page: Path) -> Any:
    """What a script finds on the page in a frame as wide as a phone."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())
    phone = page.parent / "phone.html"
    phone.write_text(text.replace("</body>", f"<script>{{{DRIVER}}}</script></body>"))
    outer = page.parent / "outer.html"
    outer.write_text(
        "<!doctype html><pre></pre><script>onmessage = (event) => "
        "document.querySelector('pre').textContent = event.data</script>"
        "<iframe src=phone.html width=390 height=800></iframe>"
    )
    document, console = browse(outer)
    assert console == []
    return json.loads(html.unescape(document.partition("<pre>")[2].partition("</pre>")[0]))


@needs_chromium
def test_tables_sort_and_the_slider_moves_at_a_phones_width(driven: Any) -> None:
    up = ["-0.5 [1, 2]", "9.5 ± 1", "10 ± 0.1", "inf"]
    assert driven["up"] == [*up, "—", ""]  # what is no number stays last
    assert driven["down"] == [*up[::-1], "—", ""]
    assert driven["data"] == ["edges", "maps", "edges", "edges", "maps", "maps"]
    assert driven["home"] == ["9.5 ± 1", "-0.5 [1, 2]", "inf", "—", "10 ± 0.1", ""]
    assert driven["blocks"] == [3, 3]
    assert driven["words"] == ["1e5", "07a", "9d", "10f", "b1", "c2"]  # keys are not numbers
    assert driven["states"] == ["ascending", "descending", "none", "ascending"]
    assert driven["other"] == "none"
    assert (driven["shown"], driven["hidden"]) == ("1", "0")
    assert driven["first"] == [True, True, True]
    assert driven["second"] == [False, True, False]
    assert driven["spoken"] == [HOSTILE, HOSTILE]
    assert driven["wide"] == 0  # the page itself does not scroll sideways
    assert driven["scrolls"]
    assert driven["moved"] > 40
    assert driven["share"] < 0.45  # a long label leaves room for numbers beside it
    assert driven["seen"] == [True, True]  # the method, wherever its table is scrolled to
