"""What README and docs tell people to type and import works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.plugins.source import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_task_of_the_docs_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a data set of its own and the project's U-Net, two steps and a score."""
    from tiny import SUITE, train_together

    from bench.evaluate.feed import evaluate
    from bench.plan.expand import expand
    from bench.plan.suite import load
    from bench.store.layout import Store

    shutil.copy(ROOT / "docs" / "examples" / "restoration.py", tmp_path)
    (tmp_path / "photographs.py").write_text(
        "from recolouring import Photos as Base\n"
        "class Photos(Base):\n    '''Photographs.'''\n    task = 'restoration:Restoration'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    changes: dict[str, Any] = {
        "datasets": {"photos": {"dataset": "photographs:Photos"}},
        "methods": ["none"],
        "budget": {"steps": 2, "batch": 2},
    }
    import yaml

    suite = {n: x for n, x in (SUITE | changes).items() if n != "discriminator_widths"}
    (tmp_path / "s.yaml").write_text("# ?\n" + yaml.safe_dump(suite))
    plan, store = expand(load(tmp_path / "s.yaml")), Store(tmp_path / "runs")
    (cell,) = plan.cells.values()
    train_together([cell], plan, store)
    import torch

    assert evaluate(cell, store, plan.metrics, torch.device("cpu")) == {}
    (score,) = store.scores(cell.key).values()
    assert score["values"]["psnr"] > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = set(
        re.findall(r"`((?:bench|baselines|reports|tests|docs|suites)/[\w./-]+\.\w+)`", text)
    )
    missing = {name for name in named if not (ROOT / name).exists()}
    assert missing <= {"baselines/my_idea.py", "suites/nightly.baseline.json", "suites/x.yaml"}
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / link).exists(), link


def test_every_file_that_a_docstring_names_is_there() -> None:
    for folder in ("bench", "baselines", "reports", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r"`?(bench/[\w/]+\.py)`?", path.read_text()):
                assert (ROOT / name).exists(), f"{path}: {name}"


def test_the_figure_of_the_wings_is_that_of_todays_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import architecture; print(architecture.drawing(), end='')"],
        cwd=ROOT / "docs" / "figures",
        capture_output=True,
        text=True,
        check=True,
    )
    committed = (ROOT / "docs" / "figures" / "architecture.svg").read_text()
    assert done.stdout == committed, "run `python docs/figures/architecture.py`"
