"""The project keeps its own rules: a wing per stage, and imports that point one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_imports_point_one_way() -> None:
    """The contracts are in pyproject.toml; this is `lint-imports`, so a laptop finds it too."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_modules_stay_small_enough_to_ask_one_question() -> None:
    """Where one grows past this, it owns two things."""
    sizes = {
        p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines())
        for folder in ("bench", "baselines", "reports")
        for p in (ROOT / folder).rglob("*.py")
    }
    assert {name: lines for name, lines in sizes.items() if lines > 400} == {}


WINGS = [
    "plugins",
    "contracts",
    "maths",
    "losses",
    "plan",
    "store",
    "fetch",
    "train",
    "evaluate",
    "onnx",
    "export",
    "run",
    "check",
    "compare",
    "report",
    "track",
    "cli",
]


def test_a_wing_says_what_it_owns_and_exports_nothing_again() -> None:
    assert sorted(p.name for p in (ROOT / "bench").glob("*.py")) == [
        "__init__.py", "__main__.py", "errors.py",
    ]  # fmt: skip
    for wing in WINGS:
        (only,) = ast.parse((ROOT / "bench" / wing / "__init__.py").read_text()).body
        assert isinstance(only, ast.Expr)
        text = ast.literal_eval(only.value)
        assert "\nIn: " in text, wing
        assert " Out: " in text, wing


def test_no_two_files_differ_by_an_ending_alone() -> None:
    """`score`, `scorer`; `work`, `workers`; `report`, `reporting`: nobody could tell them apart."""
    ending = re.compile(r"(ers|er|ings|ing|ions|ion|ors|or|ed|es|s)$")
    found: dict[str, list[Path]] = {}
    for wing in WINGS:
        for path in (ROOT / "bench" / wing).glob("[a-z]*.py"):
            found.setdefault(ending.sub("", path.stem), []).append(path)
    assert {stem: paths for stem, paths in found.items() if len(paths) > 1} == {}


def test_tests_mirror_the_wings() -> None:
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and p.name[0].isalpha()}
    plugins = {"baselines", "data", "metrics", "nets", "tasks"}
    assert folders - {"benchmarks", "faults"} <= set(WINGS) | plugins


def test_a_module_begins_with_what_is_in_it() -> None:
    for folder in ("bench", "baselines", "reports"):
        for path in (ROOT / folder).rglob("*.py"):
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            assert 10 < len(text.partition("\n")[0]) < 100, path


def test_generic_code_asks_parts_and_not_strings() -> None:
    """What a plug-in declares is asked of its part, typed; no metric or task is known by name."""
    names = {
        p.stem for kind in ("metrics", "tasks") for p in (ROOT / "bench" / kind).glob("[a-z]*.py")
    }
    odd = {"latency", "spectrum", "macs", "params", "precision", "style"}  # also words of their own
    quoted = re.compile("|".join(rf"[\"']{name}[\"']" for name in sorted(names - odd)))
    for wing in set(WINGS) - {"plugins", "cli", "track", "check"}:
        for path in (ROOT / "bench" / wing).glob("*.py"):
            lines = path.read_text().splitlines()
            code = "\n".join(x for x in lines if not re.search("tasks?: ClassVar", x))  # defaults
            assert "declared(" not in code, path
            assert not quoted.search(code), (path, quoted.search(code))
