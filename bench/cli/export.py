"""The commands by which students leave, and work elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import device_option, open_suite, suite_options
from bench.cli.tools import choose_device
from bench.contracts.kinds import NETWORK
from bench.errors import DistillbenchError, ExportError, unknown
from bench.onnx.extra import need

if TYPE_CHECKING:
    from bench.export.settings import Settings
    from bench.export.translate import Engine

FORMATS = ("safetensors", "pth", "onnx", "torchscript", "torch-export")


def _formats(ctx: click.Context, param: click.Parameter, text: str) -> list[str]:
    """Read a list of formats."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(unknown("format", name, FORMATS, text))
    return names


@click.command()
@suite_options
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder that gets one folder for each student.",
)
@click.option(
    "--format",
    "formats",
    default="safetensors,onnx",
    show_default=True,
    callback=_formats,
    metavar="LIST",
    help=f"Some of {', '.join(FORMATS)}.",
)
@click.option(
    "--peer", type=click.IntRange(0), help="Which one, where students taught each other; from 0 on."
)
def export(to: Path, formats: list[str], peer: int | None, **where: Any) -> None:
    """Export SUITE's trained students, for use without this project.

    \b
      distillbench export suites/quick.yaml --only method=wkd --seeds 0 --to students

    Each file is opened again, or run in onnxruntime, and must compute what the student computes.
    Exit codes: 0, all chosen students were exported; 1, some; 2, none.
    """
    from bench.export.packing import pack
    from bench.export.student import open_student, refusal

    if "onnx" in formats:
        need("onnx", "onnxscript", "onnxruntime")
    plan, store = open_suite(**where)
    refused: list[str] = []
    count = 0
    for entry in plan.students:
        try:
            if why := refusal(entry, plan, store, peer):
                raise ExportError(why)
            assert entry.cell is not None
            for direction in entry.cell.task.declared.directions:
                student = open_student(entry, plan, store, direction, peer)
                packed = pack(
                    student, plan, store, to, formats, say=lambda text: click.echo(text, err=True)
                )
                for remark in packed.remarks:
                    click.echo(f"note: {remark}", err=True)
                gaps = ", ".join(f"{name} {gap:.2g}" for name, gap in packed.differences.items())
                said = f"largest difference of outputs in [-1, 1]: {gaps}"
                click.echo(f"{packed.folder}  {said if packed.is_new else 'is there already'}")
                count += 1
        except DistillbenchError as error:
            refused.append(str(error))
    for why in refused:
        click.echo(f"distillbench: not exported: {why}", err=True)
    if refused:
        sys.exit(1 if count else 2)
    if not count:
        raise ExportError("nothing to export: --only leaves no student.")


@click.command()
@click.argument("export", type=click.Path(path_type=Path, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for the outputs, one PNG per image.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Images of one size that are translated together.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Resize to SIZE x SIZE pixels, as a suite does. [default: each image's own size]",
)
@device_option
@click.option(
    "--engine",
    type=click.Choice(["auto", "torch", "onnxruntime"]),
    default="auto",
    help="What computes. [default: torch if it is here and has weights of a network of this "
    "project, else onnxruntime]",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads on the CPU."
)
def generate(
    export: Path,
    folder: Path,
    out: Path,
    batch: int,
    size: int | None,
    device: str,
    engine: str,
    threads: int,
) -> None:
    """Translate the images of FOLDER with the student in EXPORT.

    \b
      distillbench generate students/photo_edges-unet-wkd-w8-s0 photos --out translated

    Sides that the network does not take are padded by reflection, and outputs cropped. The same
    command goes on where it was stopped.
    """
    from rich.console import Console
    from rich.progress import Progress

    from bench.export.settings import read
    from bench.export.translate import plan, translate

    settings = read(export)
    file = _file(settings, engine)
    todo = plan(folder, out, settings, file, size)
    for remark in todo.remarks:
        click.echo(f"note: {remark}", err=True)
    if not todo.work:
        click.echo(f"{out}: nothing left to do.")
        return
    run = _engine(export, settings, file, device, threads)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"translating with {file}", total=len(todo.work))
        for made in translate(todo.work, run, settings, batch):
            progress.advance(bar, made)
    click.echo(f"{out}: {len(todo.work)} images")


def _file(settings: Settings, engine: str) -> str:
    """Return the file that translates.

    Raises:
        ExportError: the export has none for this engine.
    """
    by_engine = {"torch": ("model.safetensors", "model.pth"), "onnxruntime": ("model.onnx",)}
    engines = [engine]
    if engine == "auto":
        is_built = NETWORK.is_ours(settings.network) and importlib.util.find_spec("torch")
        engines = list(by_engine) if is_built else ["onnxruntime"]
    wanted = [name for each in engines for name in by_engine[each]]
    for name in wanted:
        if name in settings.files:
            return name
    there = ", ".join(sorted(settings.files)) or "none"
    raise ExportError(f"this export has no {' or '.join(wanted)} for {engine}; it has {there}.")


def _engine(export: Path, settings: Settings, file: str, device: str, threads: int) -> Engine:
    """Open what translates."""
    if file == "model.onnx":
        from bench.export.by_onnxruntime import OnnxEngine

        return OnnxEngine(export, settings, "cpu" if device == "auto" else device, threads)
    from bench.export.by_torch import TorchEngine

    return TorchEngine(export, settings, choose_device(device), threads)
