"""The commands that bring data sets and weights, and say what is here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from bench.cli.options import json_option
from bench.errors import DistillbenchError


@click.command()
@click.argument("names", metavar="SUITE|NAME...", nargs=-1, required=True)
def fetch(names: tuple[str, ...]) -> None:
    """Bring what suites need, or data sets and weights by NAME: download, check, unpack, describe.

    Later runs need no network. What is there already is only checked. Everything lies under
    $DISTILLBENCH_HOME (default ~/.cache/distillbench).
    """
    from bench.fetch.needs import fetch as bring

    errors: list[DistillbenchError] = []
    for name in names:
        try:
            for line in bring(name):
                click.echo(line)
        except DistillbenchError as error:
            click.echo(f"distillbench: {error}", err=True)
            errors.append(error)
    if errors:
        sys.exit(errors[0].exit_code)


@click.command()
@json_option
def weights(as_json: bool) -> None:
    """Print which pretrained networks are here or missing, and which metric or task needs them."""
    from bench.fetch.needs import needs_of_all
    from bench.fetch.weights import KNOWN, look

    needs = needs_of_all()
    lines = []
    for name, known in KNOWN.items():
        state, sha256 = look(name)
        by = [need.by for need in needs if need.weights == name]
        line = {"name": name, "state": state, "path": str(known.path)}
        lines.append(asdict(known) | line | {"sha256": sha256, "needed_by": by})
    if as_json:
        click.echo(json.dumps(lines, indent=1))
        return
    for line in lines:
        click.echo(f"{line['name']:22} {line['state']:8} {'; '.join(line['needed_by']) or '-'}")
        where = "; ".join(line["urls"]) or "no address: put it there by hand"
        click.echo(f"{'':22} {line['path']}, sha256 {line['sha256'] or 'of its first use'}")
        click.echo(f"{'':22} {where}, licence {line['licence']}")
