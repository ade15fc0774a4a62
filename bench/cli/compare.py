"""The commands that hold results against each other: two methods, or two nights."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import choice_options, json_option, open_suite, suite_options
from bench.cli.output import json_text, working
from bench.errors import DistillbenchError, ReportError, StoreError
from bench.store.atomic import replacing

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from bench.compare.methods import Line
    from bench.contracts.report import Table
    from bench.plan.matrix import Plan
    from bench.store.layout import Store

WIDE = 200  # characters of a line where no terminal says how many it has
MOST = 10_000  # of a line that may be as long as it likes


def _bases(texts: Sequence[str], known: Collection[str]) -> list[str]:
    """Return names of methods, each once; a text that is none itself names several: `none,hinton`.

    Raises:
        ReportError: there is nothing before or after a comma.
    """
    split = [[text] if text in known else text.split(",") for text in texts]
    names = list(dict.fromkeys(name.strip() for part in split for name in part))
    if not all(names):
        told = " ".join(texts)
        raise ReportError(f"--to {told}: expected names of methods, as in none,hinton.")
    return names


def _folders(images: Path, bases: Sequence[str]) -> dict[str, Path]:
    """Return method -> the folder of its sheets, which lies in `images` whatever it is called.

    Raises:
        ReportError: a name makes none, or two make the same.
    """
    if len(bases) == 1:
        return {bases[0]: images}
    slugs = {base: _slug(base) for base in bases}
    for base, slug in slugs.items():
        if slug in ("", ".", "..") or list(slugs.values()).count(slug) > 1:
            raise ReportError(
                f"--images: {base!r} gives no folder of its own; compare with it alone."
            )
    return {base: images / slug for base, slug in slugs.items()}


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


@click.command()
@click.argument("new")
@click.option(
    "--to",
    "to",
    required=True,
    multiple=True,
    metavar="BASE[,BASE...]",
    help="The method to compare with, or several, as in none,hinton. Repeatable.",
)
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    default="quick",
    show_default=True,
    help="Whose results.",
)
@click.option("--metric", "metrics", multiple=True, help="As in fid. Repeatable. [default: all]")
@choice_options
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="List the test images where they differ most, and draw them into FOLDER.",
)
@json_option
def compare(
    new: str,
    to: Sequence[str],
    metrics: Sequence[str],
    images: Path | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Compare method NEW with method BASE, or several, all rows of a suite, seed by seed.

    \b
      distillbench compare wkd --to none --suite suites/quick.yaml --metric fid
      distillbench compare wkd --to none,hinton,at --suite suites/quick.yaml

    Prints the paired difference at each place with its interval, p and a verdict, its sampling
    error over the test images (and whether they tell the two apart at all), and what NEW costs:
    MACs, latency, time of training. Fewer than six seeds cannot show anything, and against
    several methods it takes more, since p is corrected for their number. A distiller
    that is no row of the suite joins it with --set 'methods.NEW={}', given to `run` as well.
    """
    from bench.compare import methods, tables
    from bench.compare.over_images import Kept
    from bench.report.publish import collect

    with working("comparing"):
        plan, store = open_suite(**where)
        bases = _bases(to, {entry.method for entry in plan.students})
        folders = _folders(images, bases) if images else {}
        rows = collect(plan, store)
        lines, costs = methods.compare_methods(rows, new, bases, metrics, Kept(plan, store))
    if as_json:
        found: dict[str, Any] = {"new": new, "base": ",".join(bases)}
        found |= {"batches": plan.suite.batches, "caveats": list(rows.caveats)}
        found |= {"quality": [told(line) for line in lines]}
        click.echo(json_text({**found, "cost": [asdict(cost) for cost in costs]}))
    else:
        show(tables.quality_table(lines, new, bases, methods.ports(rows, new, *bases)))
        show(tables.cost_table(costs, new, bases))
        for said in rows.caveats:
            click.echo(said)
    for base, folder in folders.items():
        mine = [line for line in lines if line.against == base]
        if not as_json:
            show(tables.images_table(mine, new, base))
        for path in draw(mine, new, base, plan, store, folder):
            click.echo(path, err=as_json)


def told(line: Line) -> dict[str, Any]:
    """Return a line as JSON values; image by image, only where the two differ most."""
    over, found = line.over_images, asdict(replace(line, over_images=None))
    del found["over_images"]
    found["images"] = len(over.names) if over else 0
    if over and over.is_each:
        found["furthest"] = [
            {"image": over.names[i], "new": float(over.new[i]), "base": float(over.base[i])}
            for i in over.furthest()
        ]
    return found


def draw(
    lines: Sequence[Line], new: str, base: str, plan: Plan, store: Store, folder: Path
) -> Iterator[Path]:
    """Draw the images where two methods differ most, a sheet for each place and metric.

    Outputs are made again, by the networks of the first common seed.
    """
    import torch

    from bench.evaluate.generate import outputs_at
    from bench.report.sheet import Row, write_sheet
    from bench.train.device import configure

    for line in lines:
        over = line.over_images
        if not over or not over.is_each:
            continue
        places, made = over.furthest(), []
        for key in over.cells:
            cell = plan.cells[key]
            configure("cpu", 1, cell.numerics)
            device = torch.device("cpu")
            made.append(outputs_at(cell, store, device, over.direction, over.mode, places))
        beside = [role for role in made[0][places[0]] if role != "output"]
        rows = []
        for i in places:
            shown = [made[0][i][role] for role in beside] + [side[i]["output"] for side in made]
            values = (f"{x:.{line.digits}f}" for x in (over.new[i], over.base[i]))
            rows.append(Row(f"{over.names[i]}\n{' / '.join(values)}", shown))
        words = _slug(f"{line.place}-{line.metric}")
        title = f"{line.place}: where {new} and {base} differ most in {line.label}"
        write_sheet(folder / f"{words}.png", title, [*beside, new, base], rows)
        yield folder / f"{words}.png"


@click.command()
@suite_options
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="BASELINE.json",
    help="What was accepted.",
)
@click.option("--accept", is_flag=True, help="Write BASELINE.json from these results instead.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="With --accept: fraction of each mean that is too little to matter.",
)
@click.option(
    "--benchmarks",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="JSON of pytest-benchmark, compared on the same machine only.",
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the verdict as markdown too, or why there is none.",
)
def gate(
    against: Path,
    accept: bool,
    tolerance: float,
    benchmarks: Path | None,
    markdown: Path | None,
    **where: Any,
) -> None:
    """Hold SUITE's results against accepted ones; for a nightly.

    \b
      distillbench gate suites/nightly.yaml --against suites/nightly.baseline.json
      distillbench gate suites/nightly.yaml --against suites/nightly.baseline.json --accept

    Fails where a score is significantly worse and by more than its tolerance, a speed fell by more
    than a tenth on the same device, or a score is missing. docs/statistics.md has the rule, its
    false alarms and its power.
    """
    from bench.contracts.report import Bold, Table

    if accept:
        _accept(against, tolerance, benchmarks, **where)
        return
    try:
        table, fails = _judged(against, benchmarks, **where)
    except DistillbenchError as error:
        cells = [[Bold("none"), str(error)]]
        title = f"{where['suite']}: no verdict"
        _write(markdown, Table("gate", title, "", ["Verdict", "Note"], [cells]))
        raise
    show(table)
    _write(markdown, table)
    if fails:
        sys.exit(1)


def _write(markdown: Path | None, table: Table) -> None:
    from bench.report.render import markdown as as_markdown

    if markdown:
        with replacing(markdown) as file:
            file.write(as_markdown(table).encode())


def _accept(against: Path, tolerance: float, benchmarks: Path | None, **where: Any) -> None:
    """Write a baseline from a suite's results."""
    from bench.compare import accepted as baseline
    from bench.compare.gate import sight
    from bench.report.publish import collect
    from bench.store.layout import write_json

    plan, store = open_suite(**where)
    rows = collect(plan, store)
    speeds = baseline.benchmarks(benchmarks) if benchmarks else {}
    suite = plan.suite.told
    accepted = baseline.accept(rows, suite, _made_by(rows, store), speeds, tolerance)
    write_json(against, accepted)
    for place, status in accepted["not done"].items():
        click.echo(f"note: accepted without {place} ({status})", err=True)
    for said in rows.caveats:
        click.echo(f"note: {said}", err=True)
    click.echo(f"{against}: {len(accepted['scores'])} scores accepted; review and commit it.")
    click.echo(sight(accepted["scores"]))


def _judged(against: Path, benchmarks: Path | None, **where: Any) -> tuple[Table, bool]:
    """Return the verdict on a suite's results, and whether they fail."""
    from bench.compare import accepted as baseline
    from bench.compare import gate
    from bench.report.publish import collect

    plan, store = open_suite(**where)
    again = f"distillbench gate {where['suite']} --against {against} --accept"
    accepted = baseline.read(against, again)
    speeds: dict[str, Any] | str = {}
    try:
        speeds = baseline.benchmarks(benchmarks) if benchmarks else {}
    except (ReportError, StoreError) as error:
        speeds = str(error)
    suite = plan.suite.told
    rows = collect(plan, store)
    verdict = gate.judge(rows, suite, speeds, accepted)
    sight = gate.sight(accepted["scores"])
    return gate.table(verdict, plan.suite.name, sight, rows.caveats), verdict.fails


def _made_by(rows: Any, store: Any) -> dict[str, Any]:
    """Return the commits, versions and devices behind a suite's results."""
    done = rows.entries[rows.entries["status"] == "done"]
    records = [store.provenance(name) for name in sorted(set(done["provenance"]) - {""})]
    packages = ("torch", "torchvision", "numpy", "scipy")
    return {
        "commits": sorted({record["commit"] for record in records}),
        "devices": sorted(set(done["device"]) - {""}),
        "python": sorted({record["python"] for record in records}),
        **{n: sorted({r["packages"].get(n, "-") for r in records}) for n in packages},
    }


def show(table: Table) -> None:
    """Print a table to the terminal, or unfolded where there is none.

    Where it is too wide, what all rows have alike stands above it; numbers are not folded.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(Text(table.title, style="bold"))
    rows = [row for block in table.blocks for row in block]
    columns = list(range(len(table.header)))
    freely = console.options.update(width=MOST)
    whole = console.measure(_grid(table.header, rows, columns), options=freely).maximum
    if len(rows) > 1 and whole > console.width:
        alike = [i for i in columns if len({row[i] for row in rows}) == 1]
        console.print(Text("; ".join(f"{table.header[i]}: {rows[0][i]}" for i in alike)))
        columns = [i for i in columns if i not in alike]
    console.print(_grid(table.header, rows, columns) if rows and columns else "")
    for text in (table.caption, *table.notes):
        console.print(Text(text))


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int]) -> Grid:
    """Return some columns of a table as rich draws them."""
    from rich import box
    from rich.table import Table as Drawn
    from rich.text import Text

    from bench.contracts.report import Bold

    grid = Drawn(box=box.SIMPLE_HEAD)
    for i in columns:
        is_number = all(re.match(r"[-+\[\d—]", row[i]) for row in rows)
        grid.add_column(Text(header[i]), no_wrap=is_number, overflow="fold")
    for row in rows:
        grid.add_row(
            *(Text(row[i], style="bold" if isinstance(row[i], Bold) else "") for i in columns)
        )
    return grid
