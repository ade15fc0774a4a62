"""What README and docs tell people to type and import works."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.distiller import Distiller
from bench.contracts.task import Task
from bench.plugins.source import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (language, code) in enumerate(BLOCK.findall(page.read_text()))
    if language == "python" or "import " in code
]


def test_there_is_something_to_try() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("code", BLOCKS)
def test_a_code_block_runs_and_its_plugins_obey_their_contract(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "from_the_docs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("from_the_docs", None)
    import from_the_docs  # type: ignore[import-not-found]

    made = [m for m in vars(from_the_docs).values() if inspect.isclass(m)]
    own = [m for m in made if m.__module__ == "from_the_docs"]
    assert own
    for cls in own:
        assert issubclass(cls, (Distiller, Task))
        assert cls(cls.defaults).params == cls.defaults


def test_the_task_of_the_docs_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a data set of its own and the project's U-Net, two steps and a score."""
    from tiny import SUITE, train_together

    from bench.evaluate.feed import evaluate
    from bench.plan.expand import expand
    from bench.plan.suite import load
    from bench.store.layout import Store

    page = (ROOT / "docs" / "tasks.md").read_text()
    (code,) = [code for language, code in BLOCK.findall(page) if language == "python"]
    (tmp_path / "restoring.py").write_text(code)
    (tmp_path / "photographs.py").write_text(
        "from recolouring import Photos as Base\n"
        "class Photos(Base):\n    '''Photographs.'''\n    task = 'restoring:Restoration'\n"
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
