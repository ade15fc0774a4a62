"""Every block of code in README and docs works: it is run, or checked as far as it can be, or says why not.

A block that cannot be checked has a line above it: `<!-- not run: the reason -->`.
"""

from __future__ import annotations

import configparser
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image
from tiny import SUITE, somewhere

from bench.cli.main import main
from bench.contracts.dataset import Dataset
from bench.contracts.distiller import Distiller
from bench.contracts.metric import ImageMetric
from bench.contracts.task import Task
from bench.errors import DistillbenchError
from bench.plan.expand import expand
from bench.plan.only import parse_only
from bench.plan.suite import Suite, load
from bench.plugins.source import ROOT

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- not run: *(.*?) *-->\n)?^```([\w-]*)[^\n]*\n(.*?)^```$", re.M | re.S)
SHELL = ("sh", "bash", "shell", "console")


CONTRACTS = (Distiller, ImageMetric, Dataset, Task)  # that take parameters alone


class Block(NamedTuple):
    page: Path
    number: int
    reason: str | None  # why it is not run; None: it is
    language: str
    code: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for number, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8"))):
            yield Block(page, number, *found.groups())


BLOCKS = list(blocks())


def those(*languages: str) -> Any:
    found = [b for b in BLOCKS if b.language in languages and b.reason is None]
    ids = [f"{b.page.relative_to(ROOT).with_suffix('').as_posix()}-{b.number}" for b in found]
    return pytest.mark.parametrize("block", found, ids=ids)


def test_what_is_not_run_says_why_and_the_rest_is_of_a_kind_that_is_looked_at() -> None:
    assert len(BLOCKS) > 20
    for block in BLOCKS:
        where = f"{block.page.name}, block {block.number}"
        assert block.reason is None or len(block.reason) > 10, where
        if block.language not in SHELL and block.reason is None:
            assert not re.search(r"^\$? ?(\S*/)?distillbench ", block.code, re.MULTILINE), where
    for page in PAGES:  # nothing hides from the pattern above
        text = page.read_text(encoding="utf-8")
        assert text.count("\n```") == 2 * sum(b.page == page for b in BLOCKS), page
        assert not re.search(r"^ {4}(import|from|distillbench) ", BLOCK.sub("", text), re.M), page


# --- What readers have -------------------------------------------------------------------------

SMALL = {
    "widths": [2],
    "teacher": {"width": 4},
    "discriminator_widths": [2],
    "size": 32,
    "budget": {"steps": 3, "batch": 2},
}


def shrink(suite: Path) -> None:
    suite.write_text(yaml.safe_dump(yaml.safe_load(suite.read_text()) | SMALL, sort_keys=False))


def own_images(folder: Path) -> None:
    """Make what a reader of the page has: pairs of images."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        (folder / "data" / "mine" / split).mkdir(parents=True)
        for number in range(count):
            pair = Image.fromarray(rng.integers(0, 256, (4, 8, 3), dtype=np.uint8))
            pair.resize((128, 64)).save(folder / "data" / "mine" / split / f"{number:04}.png")
    shrink(folder / "mine.yaml")


def own_parts(folder: Path) -> None:
    """Make the suite of their own parts small."""
    shrink(folder / "outside.yaml")


def templates(folder: Path) -> None:
    """Start a plug-in of each kind, beside the suite and in a folder of plug-ins."""
    (folder / "my_idea.py").unlink()
    (folder / "my_plugins").mkdir()
    started = {"distiller": "my_idea", "metric": "my_metric", "dataset": "my_data"}
    started |= {"network": "my_net", "report": "my_report"}
    for kind, name in started.items():
        done = CliRunner().invoke(main, ["new", kind, name, "--folder", str(folder)])
        assert done.exit_code == 0, done.output
        shutil.copy(folder / f"{name}.py", folder / "my_plugins")


READERS = {
    "journeys/own_distiller.md": own_images,
    "plugins/together.md": own_parts,
    "plugins.md": templates,
}
"""Page -> what its readers have beside the examples, made small."""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, from which their modules are importable."""
    for path in EXAMPLES.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepare(page: Path, folder: Path) -> None:
    """Put what a page's readers have into a folder."""
    if page.is_relative_to(DOCS):
        READERS.get(page.relative_to(DOCS).as_posix(), lambda _: None)(folder)


# --- Python ------------------------------------------------------------------------------------


@those("python", "py")
def test_python_runs_and_its_plugins_can_be_made(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "from_the_docs.py").write_text(block.code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    prepare(block.page, tmp_path)
    sys.modules.pop("from_the_docs", None)
    import from_the_docs  # type: ignore[import-not-found]

    made = [m for m in vars(from_the_docs).values() if inspect.isclass(m)]
    for cls in made:
        if cls.__module__ == "from_the_docs" and issubclass(cls, CONTRACTS):
            assert cls(cls.defaults).params == cls.defaults


# --- YAML --------------------------------------------------------------------------------------


ABSENT = re.compile(r"no such (file|folder)")


def bases() -> Iterator[dict[str, Any]]:
    """Yield whole suites, to one of which a fragment must be a change."""
    yield SUITE
    for name in ("quick", "style_quick", "diffusion_quick"):
        yield yaml.safe_load((ROOT / "suites" / f"{name}.yaml").read_text(encoding="utf-8"))


@those("yaml", "yml")
def test_yaml_is_a_suite_or_changes_one(block: Block, beside: Path) -> None:
    given = yaml.safe_load(block.code)
    assert set(given) <= set(Suite.model_fields), "no keys of a suite: say why it is not run"
    prepare(block.page, beside)
    trouble = []
    for base in [{}] if "name" in given else bases():
        path = beside / "from_the_docs.yaml"
        path.write_text(yaml.safe_dump({**base, **given}, sort_keys=False))
        try:
            assert expand(load(path), elsewhere=somewhere).cells
        except DistillbenchError as error:
            if ABSENT.search(str(error)):  # all but the reader's own files is as it should be
                return
            trouble.append(str(error))
        else:
            return
    pytest.fail("\n".join(trouble))


# --- Commands ----------------------------------------------------------------------------------

AROUND = {  # what a shell does around our commands
    "cd", "cp", "export", "git", "jq", "ls", "mkdir", "mlflow", "pdflatex", "pip", "python",
    "python3", "read",
}  # fmt: skip
RUN_AS_THEY_ARE = {"count", "list", "methods", "metrics", "weights"}


def commands(code: str) -> Iterator[list[str]]:
    """Yield the commands of a block as words, without what is set or said around them."""
    joined = re.sub(r"\\\n", " ", code)
    for line in joined.splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        command: list[str] = []
        for word in [*words, "&&"]:
            if word in ("&&", "||", "|", ";", ">", ">>"):
                if command:
                    yield command
                command = []
            elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
                command.append(word)


def parsed(words: list[str]) -> click.Context:
    """Read a command as the command line does, without running it."""
    context, command = click.Context(main, info_name="distillbench"), main.commands[words[0]]
    rest = words[1:]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    return command.make_context(words[0], rest, parent=context)


def check_suite(asked: dict[str, Any], folder: Path) -> None:
    """Plan what a command asks of a suite that there is."""
    given = Path(asked["suite"])
    found = [path for path in (ROOT / given, EXAMPLES / given.name) if path.is_file()]
    if not found:  # `suites/my.yaml` and such
        return
    shutil.copy(found[0], folder)
    seeds = [f"seeds=[{asked['seeds']}]"] if asked.get("seeds") else []
    suite = load(folder / found[0].name, [*asked.get("sets", ()), *seeds])
    expand(suite, parse_only(asked.get("only", ()), suite), somewhere)


@those(*SHELL)
def test_commands_exist_and_take_what_they_are_given(
    block: Block, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a reader's own files are not here
    monkeypatch.setattr(click.Path, "convert", lambda kind, path, *_: kind.coerce_path_result(path))
    prepare(block.page, beside)
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    checked = 0
    for words in commands(block.code):
        program = Path(words[0]).name
        if program == "distillbench":
            context = parsed(words[1:])
            checked += 1
            if context.params.get("suite"):
                check_suite(context.params, beside)
            if words[1] in RUN_AS_THEY_ARE:
                done = CliRunner().invoke(main, words[1:])
                assert done.exit_code == 0, done.output
        elif program == "tox":
            environments = words[words.index("-e") + 1 :][:1] if "-e" in words else []
            assert all(f"testenv:{name}" in tox for name in environments)
            checked += 1
        else:
            assert program in AROUND, f"{program}: say why the block is not run"
            checked += program == "python" and words[1:3] == ["-m", "pytest"]
    assert checked, "nothing in it could be checked: say why it is not run"


# --- Tutorials: each command of a page, in its order, with small networks and few steps -----------

TUTORIALS = {  # page -> what is there when all its commands were run
    "journeys/own_distiller.md": [
        "try/report/index.html", "report/mine/tables/results.tex", "report/mine/bundle.json",
    ],
    "plugins/together.md": ["report/outside/tables/wins.md"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_what_its_page_says(name: str, beside: Path) -> None:
    prepare(DOCS / name, beside)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    of_page = [b for b in BLOCKS if b.page == DOCS / name and b.language in SHELL]
    ours = [w for b in of_page for w in commands(b.code) if Path(w[0]).name == "distillbench"]
    for words in ours:
        command = [sys.executable, "-m", "bench", *words[1:]]
        done = subprocess.run(
            command, cwd=beside, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
    assert ours
    assert [file for file in TUTORIALS[name] if not (beside / file).is_file()] == []
