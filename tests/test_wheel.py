"""What is installed is whole: suites and templates lie in the wheel, and `run quick` works from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "baselines", "reports", "suites")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves files in its tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / "tree" / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)],
        cwd=folder / "tree", check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_project(wheel: Path) -> None:
    """Suites within `bench`, so that no folder `suites` of ours lies among others' packages."""
    files = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.is_file()]
    own = {p.relative_to(ROOT).as_posix() for p in files if "__pycache__" not in p.parts}
    wanted = {f"bench/{name}" if name.startswith("suites/") else name for name in own}
    found = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert found == wanted
    assert {"bench/suites/quick.yaml", "bench/metrics/_template.py"} <= found


@pytest.mark.slow
def test_quick_runs_from_an_empty_folder_in_a_clean_environment(
    wheel: Path, tmp_path: Path
) -> None:
    """Only the wheel is installed; the libraries are those of this environment."""
    venv, here = tmp_path / "venv", tmp_path / "here"
    here.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = venv.glob("lib/*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_paths()["purelib"])
    environment = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}

    def distillbench(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(venv / "bin" / "distillbench"), *arguments],
            capture_output=True, text=True, check=False, cwd=here, env=environment,
        )  # fmt: skip

    part = ("--only", "dataset=photo_edges", "--only", "method=none,wkd", "--seeds", "0")
    part += ("--set", "budget.steps=2", "--set", "teacher.budget.steps=2")
    run = distillbench("run", "quick", *part, "--allow-missing", "--mlflow", "none", "--jobs", "2")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "quick: 3 trained, 0 cached; 3 done\n"
    report = distillbench("report", "quick", *part, "--mlflow", "none")
    assert report.returncode == 0, report.stderr
    assert sorted(p.name for p in here.iterdir()) == ["report", "runs"]
    assert "| wkd |" in (here / "report" / "quick" / "tables" / "results.md").read_text()
    new = distillbench("new", "metric", "mine")
    assert new.returncode == 0, new.stderr
    assert (here / "mine.py").exists()
    unknown = distillbench("plan", "quikc")
    assert unknown.returncode == 2
    assert "Did you mean 'quick'?" in unknown.stderr
    assert "suites" not in {p.name for p in packages.iterdir()}
