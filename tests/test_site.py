"""The documentation site: whole, without a broken link, without a request to anybody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from bench.cli.main import main
from bench.contracts.kinds import KINDS
from bench.plan.suite import Suite
from bench.plugins.source import ROOT

pytest.importorskip("mkdocstrings")


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, and the text of its headings and of its first cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.within: list[str] = []
        self.said: dict[str, list[str]] = {"h1": [], "h2": [], "code": []}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(str(given["src"]))
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(str(given["href"]))
        if tag in self.said:
            self.within.append(tag)
            self.said[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.within:
            self.within.remove(tag)

    def handle_data(self, data: str) -> None:
        for tag in self.within:
            self.said[tag][-1] += data


def page(site: Path, name: str) -> Page:
    return Page((site / f"{name}.html").read_text(encoding="utf-8"))


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 40
    for path in pages:
        loads = Page(path.read_text(encoding="utf-8")).loads
        assert loads
        assert not [x for x in loads if re.match(r"(\w+:)?//", x)], path
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_key_command_and_plugin_has_its_place(site: Path) -> None:
    keys = page(site, "reference/suite").said["code"]
    assert set(Suite.model_fields) <= set(keys)
    commands = {h.removesuffix("¶") for h in page(site, "reference/commands").said["h2"]}
    assert {f"distillbench {name}" for name in main.commands} <= commands
    listed = [page(site, f"reference/{p.stem}") for p in (site / "reference").glob("*.html")]
    headings = {h.removesuffix("¶") for found in listed for h in found.said["h2"]}
    for kind in KINDS:
        assert set(kind.names()) <= headings, kind.name
    assert {path.stem for path in (ROOT / "suites").glob("*.yaml")} <= headings


def test_pages_hold_what_stands_elsewhere(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert "suite file in, the paper's table out" in home
    assert "<!-- README" not in home
    assert "class</span><span" in (site / "plugins" / "metric.html").read_text(encoding="utf-8")
    contract = (site / "reference" / "contracts" / "metric.html").read_text(encoding="utf-8")
    assert "Parameters a suite may set." in contract  # a comment in the file


@pytest.mark.parametrize(
    "faults",
    [
        {
            "[x](no_such_page.md)": "no_such_page.md",
            "[x](metrics.md#no-such-place)": "no-such-place",
            "![x](figures/no_such.png)": "figures/no_such.png",
        },
        {"[e](examples/no_such.py)": "examples/no_such.py"},
        {"<!-- README: No such section -->": "No such section"},
    ],
)
def test_what_is_not_there_breaks_the_build_and_is_named(
    tmp_path: Path, faults: dict[str, str]
) -> None:
    docs, config = tmp_path / "docs", tmp_path / "mkdocs.yml"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\n" + "\n\n".join(faults))
    (docs / "metrics.md").write_text("# Metrics\n")
    own = {"docs_dir": str(docs), "hooks": [str(ROOT / "docs" / "_site" / "hooks.py")]}
    own |= {"INHERIT": str(ROOT / "mkdocs.yml"), "nav": ["index.md", "metrics.md"], "plugins": []}
    config.write_text(yaml.safe_dump(own))
    done = build(tmp_path / "site", config)
    assert done.returncode != 0
    for named in faults.values():
        assert named in done.stderr
