"""How every command names a suite, a part of it, the store and the device."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.store.layout import Store

if TYPE_CHECKING:
    from bench.plan.expand import Elsewhere
    from bench.plan.matrix import Plan

sets_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the suite, as in budget.steps=50. Repeatable.",
)
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _read_shard(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read K/N.

    Raises:
        click.BadParameter: it is none, or K is not one of 1 ... N.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise click.BadParameter(f"{text}: expected K/N with K from 1 to N, as in 2/3.")
    return number, count


shard_option = click.option(
    "--shard",
    metavar="K/N",
    callback=_read_shard,
    help="Only the K-th of N parts of about equal work, as in 2/3, for machines that share no "
    "store. Every machine deals alike; `distillbench merge` brings the stores together. "
    "A suite that tunes takes two rounds: first all trials, merged, then the students.",
)


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command on a suite takes."""
    return click.argument("suite", type=click.Path(path_type=Path))(choice_options(command))


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what chooses a part of a suite, and the store."""
    options = [
        sets_option,
        click.option(
            "--only",
            multiple=True,
            metavar="AXIS=VALUES",
            help="Only a part of the matrix, as in method=wkd or width=8,16. Repeatable; values of "
            "one axis add up.",
        ),
        click.option("--seeds", metavar="LIST", help="Seeds instead of the suite's, as in 0,1."),
        click.option(
            "--store",
            type=click.Path(path_type=Path),
            default="runs",
            show_default=True,
            envvar="DISTILLBENCH_STORE",
            help="Folder of all results; also $DISTILLBENCH_STORE.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_suite(
    suite: Path,
    sets: Iterable[str],
    only: Iterable[str],
    seeds: str | None,
    store: Path,
    elsewhere: Elsewhere | None = None,
    shard: tuple[int, int] | None = None,
) -> tuple[Plan, Store]:
    """Expand a suite, or return one of so many parts of its plan."""
    from bench.plan.expand import expand  # numpy and pydantic behind it: `--help` does without
    from bench.plan.only import parse_only
    from bench.plan.suite import load

    loaded = load(suite, [*sets, *([f"seeds=[{seeds}]"] if seeds else [])])
    kept = Store(store)
    plan = expand(loaded, parse_only(only, loaded), elsewhere, kept.result)
    if shard is None:
        return plan, kept
    from bench.plan.shard import deal
    from bench.run.training_macs import training_macs  # torch behind it

    number, count = shard
    return deal(plan, count, training_macs)[number - 1], kept
