"""`distillbench merge`: the stores of several machines become one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.store.layout import Store


@click.command()
@click.argument(
    "stores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE..."
)
@click.option(
    "--into",
    required=True,
    type=click.Path(path_type=Path),
    metavar="STORE",
    help="The store that is to have everything; it may have something, or not exist yet.",
)
def merge(stores: tuple[Path, ...], into: Path) -> None:
    """Bring the results of STOREs, as shards of a suite leave them, into one.

    Weights and other tensors are held against their digests, cells against their keys, scores and
    losses, which have no digest, against their form. Of a cell that several
    stores have, the one that got further is taken; if both ended, they have to be equal bit for
    bit. What contradicts is reported, with where each was computed, and stays where it is: delete
    the one that is not to count, and merge again; who learnt from it is named, too. Doing it again
    changes nothing, and a merge that was killed goes on by the same command.

    \b
      distillbench run suite.yaml --shard 1/2 --store runs1      on one machine
      distillbench run suite.yaml --shard 2/2 --store runs2      on another
      distillbench merge runs1 runs2 --into runs
      distillbench report suite.yaml --store runs

    MLflow's copies are not merged: `distillbench sync SUITE --store runs` makes one of the result.
    """
    from rich.console import Console
    from rich.progress import track

    from bench.errors import printable
    from bench.run.union import merge as merge_stores
    from bench.store.layout import Store

    console = Console(stderr=True)

    def follow(cells: Sequence[tuple[Store, str]]) -> Iterable[tuple[Store, str]]:
        return track(cells, "merging", console=console, transient=True)

    merged = merge_stores([Store(store) for store in stores], Store(into), follow)
    for finding in merged.findings:
        click.echo(f"finding: {printable(finding)}")
    click.echo(str(merged))
    if merged.findings:
        sys.exit(1)
