"""The suites that come with the project, which are called by their names alone."""

from __future__ import annotations

from pathlib import Path

from bench.errors import SuiteError, unknown
from bench.plugins.source import ROOT

SUFFIXES = (".yaml", ".yml")
WHERE = (ROOT / "bench" / "suites", ROOT / "suites")  # as installed; in a checkout


def suites() -> dict[str, Path]:
    """Return name -> file of every suite of the project."""
    folder = next((folder for folder in WHERE if folder.is_dir()), WHERE[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(given: Path) -> Path:
    """Return the file of a suite: the one that was given, or ours of that plain name.

    Raises:
        SuiteError: there is neither; the message says which there are.
    """
    known = suites()
    is_name = given.name == str(given) and given.suffix not in SUFFIXES
    if given.is_file() or not (is_name or given.stem in known):
        return given  # what is wrong with it is said where it is read
    if not is_name:
        raise SuiteError(
            f"{given}: no such file. The suite of that name that comes with distillbench is called "
            f"by its name alone: {given.stem}."
        )
    if given.name not in known:
        raise SuiteError(unknown("suite", given.name, known, f"no file {given}"))
    return known[given.name]
