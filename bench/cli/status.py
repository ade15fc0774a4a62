"""`distillbench status`: how every cell of a suite stands, for a person or a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import open_suite, shard_option, suite_options
from bench.cli.output import json_text
from bench.cli.run import count_places

if TYPE_CHECKING:
    from bench.plan.matrix import Plan
    from bench.store.layout import Store


@click.command()
@suite_options
@shard_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/ci.md has its keys.")
def status(as_json: bool, **where: Any) -> None:
    """Print how every cell of SUITE stands: done, failed, diverged, skipped, started, missing."""
    plan, store = open_suite(**where)
    places, counts = list(_places(plan, store)), count_places(plan, store)
    if as_json:
        told = {"suite": plan.suite.name, "batches": plan.suite.batches}
        click.echo(json_text({**told, "counts": counts, "cells": places}))
    else:
        for place in places:
            detail = f"  {place['reason']}" if place["reason"] else ""
            click.echo(f"{place['key'] or '-':12}  {place['status']:8}  {place['cell']}{detail}")
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        bare = sum(place["status"] == "done" and not place["scored"] for place in places)
        said += f"; of those done {bare} lack scores" if bare else ""
        others = sum(bool(place["changed_teacher"]) for place in places)
        said += f"; {others} learnt from a teacher that has other weights now" if others else ""
        said += "; batches shared by all seeds" if plan.suite.batches == "shared" else ""
        click.echo(said)
    if set(counts) & {"failed", "diverged"}:
        sys.exit(1)


def _places(plan: Plan, store: Store) -> Iterator[dict[str, Any]]:
    """Yield what is known of each place, trials first."""
    from bench.contracts.verdict import NOT_TRAINED
    from bench.contracts.width import said_width
    from bench.report.rows import reason_untrained, state_of
    from bench.run.walk import is_scored
    from bench.store.lineage import changed_teachers, remark

    changed = changed_teachers(store, plan.every_cell)
    for stage, entry in plan.every_entry():
        state = state_of(entry, stage, store)
        why = reason_untrained(entry, state, stage, store)
        is_done = entry.cell is not None and state.status == "done"
        scored = is_done and entry.cell is not None and is_scored(entry.cell, stage, store)
        teacher = changed.get(entry.cell.key, "") if entry.cell else ""
        lacks = "some scores are missing" if is_done and not scored and not why else ""
        said = f"{NOT_TRAINED}: {why}" if why else state.detail
        reasons = (said, remark(teacher), lacks)
        yield {
            "key": entry.cell.key if entry.cell else "",
            "cell": str(entry),
            "role": entry.role,
            "dataset": entry.dataset,
            "architecture": entry.architecture,
            "method": entry.method,
            "width": said_width(entry.width),
            "discriminator_width": entry.discriminator_width,
            "seed": entry.seed,
            "status": state.status,
            "trained": is_done and not why,
            "scored": scored,
            "changed_teacher": teacher,
            "reason": "; ".join(filter(None, reasons)),
        }
