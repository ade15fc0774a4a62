"""`distillbench score`: images from any method, by folders alone or by a suite's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import device_option, json_option, open_suite, sets_option
from bench.cli.output import json_text
from bench.cli.tools import choose_device
from bench.contracts.kinds import METRIC
from bench.errors import SuiteError, unknown

if TYPE_CHECKING:
    from bench.plan.cell import Cell
    from bench.plan.matrix import Plan

Follow = Callable[[Iterable[Any], str], Iterable[Any]]


@click.command()
@click.argument("outputs", type=click.Path(path_type=Path))
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    help="Score under this suite's protocol: its test images, size, metrics and their parameters.",
)
@click.option("--dataset", metavar="NAME", help="Which data set of the suite, if it has several.")
@click.option(
    "--direction", metavar="NAME", help="Which direction, if there are several, as in AtoB."
)
@click.option(
    "--pattern",
    default="",
    metavar="NAME",
    help="Which files are outputs, as in '*_fake_B.png': the star is the test image's name.",
)
@click.option(
    "--real", type=click.Path(path_type=Path), help="Real images, for distances between sets."
)
@click.option(
    "--target",
    type=click.Path(path_type=Path),
    help="Ground truth of each image, by file name; may be the same as --real. Of files with two "
    "images side by side the right one is taken, with --direction BtoA the left one.",
)
@click.option(
    "--metrics",
    metavar="LIST",
    help="As in fid,kid,swd,ssim; of a suite, only these. [default: the suite's]",
)
@sets_option
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default="runs",
    show_default=True,
    envvar="DISTILLBENCH_STORE",
    help="Where networks lie that the suite trains to judge by; also $DISTILLBENCH_STORE.",
)
@device_option
@json_option
def score(
    outputs: Path,
    suite: Path | None,
    dataset: str | None,
    direction: str | None,
    pattern: str,
    real: Path | None,
    target: Path | None,
    metrics: str | None,
    sets: Sequence[str],
    store: Path,
    device: str,
    as_json: bool,
) -> None:
    """Score the images of folder OUTPUTS, from any method, with the code that scores a suite.

    With --suite the scores have the protocol of the suite's own, so that they can stand beside
    them: one image per test image, by its name, as `1.png` or, as CycleGAN's and Pix2Pix's code
    calls its results, `1_fake_B.png`.

    \b
      distillbench score fakes --real photos --metrics fid,kid,swd
      distillbench score fakes --target truth --metrics psnr,ssim,fsim
      distillbench score results/maps/test_latest --suite maps.yaml --dataset maps
    """
    from rich.console import Console
    from rich.progress import track

    follow = partial(track, console=Console(stderr=True), transient=True)
    names = [name.strip() for name in metrics.split(",")] if metrics else []
    if suite is None:
        if direction not in (None, "AtoB", "BtoA"):
            raise click.UsageError(
                f"--direction {direction}: of folders it is AtoB or BtoA: which of two images side "
                "by side is the real one."
            )
        if dataset or sets:
            raise click.UsageError("--dataset and --set are about a suite: give one with --suite.")
        if not names:
            raise click.UsageError("give --metrics, as in fid,swd, or a --suite that has some.")
        found = _by_folders(outputs, real, target, names, pattern, direction or "", device, follow)
    else:
        if real or target:
            raise click.UsageError(
                "--suite says what images are held against: leave out --real and --target."
            )
        plan, kept = open_suite(suite, sets, (), None, store)
        cell = _cell(plan, dataset)
        found = _by_suite(outputs, plan, cell, direction, pattern, names, kept, device, follow)
    if as_json:
        click.echo(json_text(found))
        return
    for one in found:
        for name, value in one["values"].items():
            click.echo(f"{name:16} {value:14.6f} {one['unit']}")
        if one["reason"]:
            why = one["reason"].removeprefix(f"{one['metric']} ")
            _note(f"{one['metric']} is not scored: {why}")
    click.echo(_said(found[0]["protocol"]), err=True)


def _said(protocol: dict[str, Any]) -> str:
    """Say how many images of which size were scored, and of which direction of a suite."""
    size = protocol["size"]
    width, height = (size, size) if isinstance(size, int) else size
    of = f", {protocol['split']} {protocol['direction']}" if "direction" in protocol else ""
    return f"{protocol['images']} images of {width} x {height} pixels{of}"


def _by_folders(
    outputs: Path,
    real: Path | None,
    target: Path | None,
    names: Sequence[str],
    pattern: str,
    direction: str,
    device: str,
    follow: Follow,
) -> list[dict[str, Any]]:
    """Score a folder against others."""
    import torch

    from bench.evaluate.folders import score_folders

    return score_folders(
        outputs,
        real,
        target,
        [METRIC.part(name, {}, "--metrics") for name in names],
        torch.device(choose_device(device)),
        pattern=pattern,
        is_left=direction == "BtoA",
        say=_note,
        follow=follow,
    )


def _cell(plan: Plan, dataset: str | None) -> Cell:
    """Return a student of a data set, or what is given beside none.

    All of them are scored under one protocol.
    """
    known = list(plan.suite.datasets)
    if dataset is None and len(known) > 1:
        raise click.UsageError(f"which data set? Give --dataset, one of {', '.join(known)}.")
    name = dataset or known[0]
    if name not in known:
        raise SuiteError(unknown("data set", name, known, f"{plan.suite.path}: --dataset"))
    given = (entry for entry in plan.entries if entry.role == "given")
    mine = [e for e in (*plan.students, *given) if e.dataset == name]
    cells = [cell for e in mine if (cell := e.cell or e.like)]
    if not cells:
        why = mine[0].reason if mine else "no row of methods is of it"
        raise SuiteError(f"{plan.suite.path}: {name} has no student: {why}.")
    return cells[0]


def _by_suite(
    outputs: Path,
    plan: Plan,
    cell: Cell,
    direction: str | None,
    pattern: str,
    names: Sequence[str],
    store: Any,
    device: str,
    follow: Follow,
) -> list[dict[str, Any]]:
    """Score a folder in the place of a student's outputs."""
    import torch

    from bench.evaluate.foreign import score_files
    from bench.plan.result_files import direction_of, images_given, look_at, place_of
    from bench.train.device import configure

    parts = [part for part in plan.metrics if part.declared.judges == "images"]
    asked = [part.name for part in parts]
    for name in names:
        if name not in asked:
            raise SuiteError(unknown("metric of images", name, asked, f"{plan.suite.path}"))
    chosen = [part for part in parts if not names or part.name in names]
    where = direction_of(cell, direction, "--direction")
    place = place_of(outputs, pattern)
    given = replace(cell, given=images_given(cell, {where: place}))
    for remark in look_at(given):
        _note(remark)
    device = choose_device(device)
    configure(device, 1, cell.numerics)
    found = score_files(
        given,
        chosen,
        store,
        torch.device(device),
        lambda steps: follow(steps, str(outputs)),
    )
    if not any(one["values"] for one in found):
        reasons = "; ".join(one["reason"] for one in found)
        raise SuiteError(f"nothing can be scored: {reasons or 'the suite asks nothing of images'}.")
    return found


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)
