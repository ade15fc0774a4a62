"""`distillbench check`: does a plug-in keep its contract?"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bench.cli.tools import parameters
from bench.contracts.kinds import DATASET, KINDS, METHOD, METRIC, NETWORK, REPORT
from bench.errors import PluginError, SuiteError
from bench.plugins import outside
from bench.plugins.registry import Kind

MODULES = {
    METHOD.name: "lessons",
    NETWORK.name: "shapes",
    METRIC.name: "examples",
    DATASET.name: "splits",
    REPORT.name: "pages",
}  # of bench.check; other kinds are asked what they say of themselves


@click.command()
@click.argument("plugin", metavar="MODULE:CLASS|FILE|NAME")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parameters,
    help="A parameter, as in path=photos; may be repeated.",
)
def check(plugin: str, given: dict[str, Any]) -> None:
    """Ask a plug-in of any kind what the tests ask of ours; one line per question.

    \b
      distillbench check my_idea.py
      distillbench check my_module:MyMetric
      distillbench check my_data.py --set path=photos

    Trains small networks for a few steps on the CPU. Exit codes: 0, the contract is kept; 1, it is
    not, and the line says why; 2, there is no such plug-in.
    """
    from bench.check.question import answer, declaration_questions

    failed = 0
    for kind, name in _found(plugin):
        part = kind.part(name, given, plugin)
        file, _ = kind.locate(name, name)
        click.echo(f"{kind.name} {name}, {file}")
        questions = list(declaration_questions(part))
        if kind.name in MODULES:
            module = importlib.import_module(f"bench.check.{MODULES[kind.name]}")
            questions += module.questions(part)
        for question in questions:
            verdict, why = answer(question, file)
            failed += verdict == "FAILED"
            click.echo(f"  {verdict:8}{question.said}{f': {why}' if why else ''}")
    if failed:
        click.echo(f"distillbench: {plugin}: {failed} of what its contract asks.", err=True)
        sys.exit(1)


def _found(plugin: str) -> list[tuple[Kind[Any], str]]:
    """Return the kinds and names of what is meant.

    Raises:
        SuiteError: there is nothing of that name, or it is no plug-in.
        PluginError: it cannot be imported, or another file is what its name means.
    """
    path = Path(plugin)
    if path.suffix == ".py" and path.is_file():
        home = path.resolve().parent
        ours = [(kind, path.stem) for kind in KINDS if kind.folder == home]
        if ours:
            return ours
        here = outside.places()
        outside.look_in(outside.Places(here.folders, (home, *here.beside)))
        found = list(_classes(path.stem, path))
        for kind, name in found:
            other, _ = kind.locate(name, plugin)
            if other.resolve() != path.resolve():
                raise PluginError(f"{plugin}: {other} has this name and comes first; rename one.")
    elif ":" in plugin:
        module = plugin.partition(":")[0]
        file, _ = KINDS[0].locate(plugin, "check")
        found = [(kind, name) for kind, name in _classes(module, file) if name == plugin]
    else:
        found = [(kind, plugin) for kind in KINDS if plugin in kind.names()]
    if not found:
        raise SuiteError(
            f"{plugin}: no plug-in: neither a file, nor module:Class, nor a name in a folder of "
            "plug-ins, with a class that derives from one of bench/contracts."
        )
    return found


def _classes(module: str, path: Path) -> Iterator[tuple[Kind[Any], str]]:
    """Yield kind and name of every public class of a file that derives from a contract."""
    try:
        loaded = outside.load(module, path.resolve())
    except (Exception, SystemExit) as error:  # whatever a user's own module does
        raise PluginError(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
    for name, cls in vars(loaded).items():
        if not inspect.isclass(cls) or cls.__module__ != loaded.__name__ or name.startswith("_"):
            continue
        for kind in KINDS:
            if issubclass(cls, getattr(importlib.import_module(kind.module), kind.contract)):
                yield kind, f"{module}:{name}"
