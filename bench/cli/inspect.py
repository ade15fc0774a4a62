"""`distillbench inspect`: what a file of weights is, and how a suite takes it up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import json_option
from bench.cli.output import json_text
from bench.contracts.kinds import METHOD

if TYPE_CHECKING:
    from bench.fetch.recognise import Candidate


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--size",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Image side for MACs; a U-Net's depth depends on it.",
)
@json_option
def inspect(file: Path, size: int, as_json: bool) -> None:
    """Say what FILE, of weights from elsewhere, is: architecture, width, norm, cost.

    Nothing in the file is run. The exit code is 1 if no architecture of this project fits.
    """
    from bench.fetch.recognise import recognise
    from bench.fetch.tensors import read_tensors
    from bench.plan.files import sha256_of
    from bench.plan.given import EXPORTED

    path = file / EXPORTED if file.is_dir() else file
    tensors = read_tensors(path)
    candidates = recognise(tensors, size)
    fitting = [c for c in candidates if not c.fit.faults]
    found: dict[str, Any] = {
        "file": str(path),
        "sha256": sha256_of(path),
        "tensors": len(tensors),
        "numbers": sum(x.numel() for x in tensors.values()),
        "fits": [_told(c, path) for c in fitting],
        "closest": [_told(c, path) | {"fault": c.fit.fault} for c in candidates[:1] if not fitting],
    }
    if as_json:
        click.echo(json_text(found))
    else:
        click.echo(f"{path}: {found['tensors']} tensors, {found['numbers']:,} numbers")
        for line in (*found["fits"], *found["closest"]):
            _print(line)
        if not candidates:
            click.echo(
                "no architecture of this project has such names; it reads those of "
                "`distillbench list networks`, or of a user's own `layouts`."
            )
    if not fitting:
        raise SystemExit(1)


def _told(candidate: Candidate, path: Path) -> dict[str, Any]:
    """Return what is known of a network as JSON values."""
    from bench.evaluate.costs import count_network

    c = candidate
    cost = count_network(c.architecture, c.width, c.size, c.seen, c.params)
    return {
        "architecture": c.architecture,
        "role": c.role,
        "width": c.width,
        "params": dict(c.params),
        "size": c.size,
        "input_channels": c.seen,
        "parameters": c.weights,
        "macs": cost.macs,
        "read_as": c.fit.said,
        "row": _row(c, path),
        "also": list(c.also),
        "lacks": _lacks(c),
    }


def _row(c: Candidate, path: Path) -> str:
    """Return what a suite says to take it up."""
    if c.role == "discriminator":
        said = f"discriminator: {path}, discriminator_width: {c.width}"
        return f"teacher: {{weights: FILE OF THE GENERATOR, width: ITS WIDTH, {said}}}"
    said = f"teacher: {{weights: {path}, architecture: {c.architecture}, width: {c.width}}}"
    given = ", ".join(f"{name}: {value}" for name, value in c.params.items())
    return f"architectures: {{{c.architecture}: {{{given}}}}}, {said}" if given else said


def _lacks(c: Candidate) -> list[str]:
    """Return what methods would miss that learn from it."""
    if c.role == "discriminator":
        return []
    declared = {name: METHOD.declaration(name, name).says for name in METHOD.names()}
    asking = [n for n, d in declared.items() if d.teacher_judges and "frozen" in d.teachers]
    training = [n for n, d in declared.items() if d.teachers and "frozen" not in d.teachers]
    found = [f"its discriminator, for {' and '.join(asking)}"] if asking else []
    return found + ([f"its training, for {' and '.join(training)}"] if training else [])


def _print(line: dict[str, Any]) -> None:
    given = "".join(f", {name} {value}" for name, value in line["params"].items())
    fault = line.get("fault", "")
    click.echo(
        f"{'closest' if fault else 'fits'}     {line['architecture']} ({line['role']}), "
        f"width {line['width']}{given}, for {line['size']} x {line['size']} pixels, "
        f"{line['input_channels']} channels in"
    )
    if fault:
        click.echo(f"but      {fault}")
        return
    click.echo(
        f"cost     {line['parameters'] / 1e6:.5f} M parameters, {line['macs'] / 1e9:.4f} G MACs"
    )
    click.echo(f"read as  {line['read_as']}")
    if line["also"]:
        others = ", ".join(map(repr, line["also"]))
        click.echo(
            f"but      {others} fits as well: save the one that is meant in a file of its own"
        )
        return
    click.echo(f"suite    {line['row']}")
    for lack in line["lacks"]:
        click.echo(f"lacks    {lack}")
