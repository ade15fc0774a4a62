"""`distillbench new`: a plug-in file to start from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.contracts.kinds import DATASET, METHOD, METRIC, NETWORK, REPORT
from bench.errors import SuiteError
from bench.plugins.registry import Kind
from bench.plugins.source import ROOT

OURS = ("bench", "baselines", "reports", "suites")  # folders of the project


@dataclass(frozen=True)
class Start:
    """How a kind of plug-in is begun."""

    kind: Kind[Any]
    key: str  # of a suite, below which it is named
    named: str  # what names its class there

    def row(self, name: str, class_name: str) -> str:
        """Return what a suite says of a plug-in beside it."""
        return self.named.format(name=name, of=f"'{name}:{class_name}'")


STARTS = {
    "distiller": Start(METHOD, "methods", "{name}: {{method: {of}}}"),
    "metric": Start(METRIC, "metrics", "{of}"),
    "dataset": Start(DATASET, "datasets", "{name}: {{dataset: {of}}}"),
    "network": Start(NETWORK, "architectures", "{name}: {{architecture: {of}}}"),
    "report": Start(REPORT, "reports", "{of}"),
}


@click.command()
@click.argument("kind", type=click.Choice(list(STARTS)))
@click.argument("name")
@click.option(
    "--suite",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Write beside this suite.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where; made if need be. [default: beside the suite, or the present folder]",
)
def new(kind: str, name: str, suite: Path | None, folder: Path | None) -> None:
    """Write NAME.py, a commented plug-in that works as it is, and say how a suite names it.

    \b
      distillbench new distiller my_idea                       in the present folder
      distillbench new metric my_metric --suite my_suite.yaml  beside the suite
      distillbench new distiller my_idea --folder baselines    into distillbench's own tree
    """
    start = STARTS[kind]
    beside = suite.resolve().parent if suite else Path.cwd()
    place = folder or beside
    if folder is None and any(place.is_relative_to(ROOT / ours) for ours in OURS):
        raise SuiteError(
            f"{place} is a folder of distillbench itself: say --folder {place} if you mean it."
        )
    place.mkdir(parents=True, exist_ok=True)
    path, class_name = write(start.kind, name, place)
    home = path.resolve().parent
    row = start.row(name, class_name) if home == beside else name
    also = f", `plugins: [{home}]` to its keys" if home not in (beside, start.kind.folder) else ""
    click.echo(path)
    click.echo(f"Try it: add `{row}` to the {start.key} of a suite{also}, then run the suite.")
    click.echo(f"Does it keep its contract? distillbench check {path}")


def write(kind: Kind[Any], name: str, folder: Path) -> tuple[Path, str]:
    """Write a commented plug-in that works; return its file and class.

    Raises:
        SuiteError: the name is no Python name, or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SuiteError(f"{name!r}: a {kind.name}'s name is a file name like my_idea.")
    path = folder / f"{name}.py"
    if name in kind.names() or path.exists():
        raise SuiteError(f"{path}: there is a {kind.name} of that name already.")
    text = (kind.folder / "_template.py").read_text(encoding="utf-8")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    for old, own in (
        ("class Template(", f"class {class_name}("),
        ("`template:", f"`{name}:"),
        ('"template"', f'"{name}"'),
    ):
        text = text.replace(old, own)
    path.write_text(text, encoding="utf-8")
    return path, class_name
