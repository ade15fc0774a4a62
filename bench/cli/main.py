"""The command line. Progress goes to stderr, results to stdout.

Exit codes: 0, all is well; 1, some cells failed or diverged; 2, the input is wrong and nothing
was trained; 130, interrupted, and the same command goes on.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli import check as cli_check
from bench.cli import compare as cli_compare
from bench.cli import export as cli_export
from bench.cli import fetch as cli_fetch
from bench.cli import inspect as cli_inspect
from bench.cli import listing, scaffold
from bench.cli import merge as cli_merge
from bench.cli import run as cli_run
from bench.cli import score as cli_score
from bench.cli import status as cli_status
from bench.cli import tools as cli_tools
from bench.cli.exit_codes import say_codes
from bench.cli.options import (
    device_option,
    json_option,
    open_suite,
    shard_option,
    suite_options,
)
from bench.cli.output import tell, working
from bench.cli.tools import choose_device
from bench.errors import AbsentData, DistillbenchError, StoreError
from bench.run.gpus import driver
from bench.store.layout import Store, read_json

if TYPE_CHECKING:
    from bench.contracts.dataset import Dataset
    from bench.plan.matrix import Plan
    from bench.plan.shard import Shard
    from bench.plan.suite import Suite
    from bench.plugins.registry import Part

SYNC_PATIENCE_S = 3600.0
MOST_YOUNG = 50_000
"""Objects that are made before Python looks for cycles among them, where 700 are its default."""


class _Group(click.Group):
    """Commands in the order of their use; an error is one line, and each says its exit codes."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Take up a command, whose help then ends with its exit codes."""
        say_codes(cmd, name or cmd.name or "")
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands as they are written below."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn errors for users into a message and an exit code."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()  # a full disk is said here, and not by the interpreter's last words
            return found
        except DistillbenchError as error:
            click.echo(f"distillbench: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("distillbench: quit; the same command goes on.", err=True)
            sys.exit(130)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except Exception as error:
            tell(error)
            sys.exit(2)  # 1 means that something is worse


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="distillbench")
def main() -> None:
    """Benchmark knowledge distillation for image generation.

    A suite file in, the paper's table out, with the evidence that the table is true:

    \b
      distillbench run suites/quick.yaml       train and score every cell; resumes by itself
      distillbench report suites/quick.yaml    write tables, figures and a page
    """


@contextlib.contextmanager
def _with_few_searches_for_cycles() -> Iterator[None]:
    """Spare what makes hundreds of thousands of objects that all stay."""
    before = gc.get_threshold()
    gc.set_threshold(MOST_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@main.command()
@suite_options
@shard_option
@json_option
@_with_few_searches_for_cycles()
def plan(as_json: bool, **where: Any) -> None:
    """Print the cells of SUITE, what is cached, why others are stale, and the time left.

    Notes say what cannot come out: seeds that are too few for a test, weights that are not here,
    metrics that will be empty, methods that are skipped.
    Data sets that were not fetched yet are named; everything else is checked without them.
    """
    from bench.report.rows import state_of
    from bench.run.estimate import time_left
    from bench.run.outlook import remarks
    from bench.run.stale import Specs
    from bench.run.walk import is_scored
    from bench.store.lineage import Lineage, remark

    absent: dict[str, str] = {}

    def without_keys(
        suite: Suite, name: str, part: Part[Dataset], error: AbsentData
    ) -> Part[Dataset]:
        if part.path or where["shard"]:  # the cells' keys decide how a plan is dealt
            raise error
        absent[name] = str(error)
        return replace(part, fingerprint="absent")

    plan, store = open_suite(**where, elsewhere=without_keys)
    specs, lineage = Specs(store.specs()), Lineage(store)
    lines, status = [], {}
    for stage, entry in plan.every_entry():
        state = state_of(entry, stage, store)
        if entry.cell:
            status[entry.cell.key] = state.status
        has_key = entry.dataset not in absent
        line = {"key": entry.cell.key if entry.cell and has_key else "", "cell": str(entry)}
        line |= {"role": entry.role, "status": state.status, "note": state.detail}
        if entry.cell and state.status in ("done", "diverged"):
            spec = specs.by_key.get(entry.cell.key, {})
            notes = [state.detail, remark(lineage.changed_teacher(spec))]
            if changed := specs.changed_files(entry.cell):
                notes.append(f"changed since, at the same version: {', '.join(changed)}")
            elif state.status == "done" and not is_scored(entry.cell, stage, store):
                notes.append("to be scored")
            line["note"] = "; ".join(filter(None, notes))
        elif entry.cell and entry.cell.given and state.status == "missing":
            line["note"] = f"not trained here: {entry.cell.given.said}"
        elif entry.cell and state.status == "missing":
            line["note"] = specs.why_stale(entry.cell)
        lines.append(line)
    cells = [*plan.every_cell.values(), *plan.open]
    unseen = [cell.key for cell in cells if cell.key not in status]
    status |= {key: store.state(key).status for key in unseen}
    todo = [c for c in cells if not c.given and status[c.key] not in ("done", "diverged")]
    present = [cell for cell in todo if cell.dataset.fingerprint != "absent"]
    seconds, unknown = time_left(store, present)
    unknown += len(todo) - len(present)
    missing = remarks(plan, driver())
    if as_json:
        summary = {"to_train": len(todo), "seconds_left": seconds, "without_estimate": unknown}
        said = {"absent": absent, "remarks": [asdict(remark) for remark in missing]}
        said |= {"shard": asdict(plan.shard)} if plan.shard else {}
        click.echo(json.dumps({"cells": lines, **summary, **said}, indent=1))
        return
    for line in lines:
        note = f"  {line['note']}" if line["note"] else ""
        click.echo(f"{line['key'] or '-':12}  {line['status']:8}  {line['cell']}{note}")
    for name, what in absent.items():
        click.echo(f"{name} is not here, so its cells have no keys yet: {what}")
    trials = sum(entry.role == "trial" for _, entry in plan.every_entry())
    counted = f"{len(cells)} cells, {trials} of them trials" if trials else f"{len(cells)} cells"
    click.echo(f"{counted}, {len(todo)} to train; {_left(seconds, unknown)}")
    if plan.shard:
        click.echo(_of_all(plan.shard))
    for lacking in missing:
        click.echo(f"note: {lacking.text}")


def _of_all(shard: Shard) -> str:
    """Say how much of all work a shard is."""
    text = f"shard {shard}: {shard.share:.0%} of the work of all, as counted in MACs"
    if shard.again:
        text += f"; {shard.again} of its cells are trained by other shards too: they need them"
    return text


def _left(seconds: float, unknown: int) -> str:
    """Say how much training is left."""
    if unknown and not seconds:
        return "how long that takes is not known: nothing of the kind was timed here yet"
    said = f"{timedelta(seconds=round(seconds))} of training left on one worker"
    if unknown:
        said += f", not counting {unknown} cells of a kind that was never timed here"
    return said


main.add_command(cli_run.run)


main.add_command(cli_status.status)


main.add_command(cli_merge.merge)


@main.command()
@suite_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write to. [default: report/NAME of the suite]",
)
@click.option(
    "--from",
    "source",
    metavar="mlflow:URI",
    help="Take the results from a tracking server, not from a store on this machine.",
)
@click.option(
    "--mlflow",
    metavar="URI",
    help="Tracking server to link and add the report to, or none. "
    "[default: that of --from, $MLFLOW_TRACKING_URI, or STORE/mlflow.db if it is there]",
)
@click.option(
    "--columns",
    metavar="METRICS",
    help="What tables and figures show, in this order, as in swd,psnr. [default: every metric]",
)
def report(
    out: Path | None, source: str | None, mlflow: str | None, columns: str | None, **where: Any
) -> None:
    """Write tables (markdown, LaTeX, CSV), figures (PDF, PNG) and a page from SUITE's results."""
    with working("reading the suite"):
        from bench.track.from_server import dataset_on, results, server_of
        from bench.track.report_run import usual_uri, write

    server = server_of(source) if source else ""
    elsewhere = partial(dataset_on, server) if server else None

    def opened(store: Store) -> Plan:
        return open_suite(**where | {"store": store.root}, elsewhere=elsewhere)[0]

    store = Store(where["store"])
    uri = "" if mlflow == "none" else mlflow or server or usual_uri(store)
    metrics = [name.strip() for name in columns.split(",")] if columns else []
    with working("making the report"), results(opened, store, server) as (plan, found):
        page, trouble = write(plan, found, out or Path("report") / plan.suite.name, uri, metrics)
    if trouble:
        click.echo(
            f"distillbench: the report is written, but MLflow lacks it ({trouble})", err=True
        )
    click.echo(str(page))


@main.command()
@suite_options
@click.option("--mlflow", metavar="URI", help="Tracking server. [default: as for run]")
def sync(mlflow: str | None, **where: Any) -> None:
    """Bring MLflow up to what the store knows of SUITE; logs nothing twice."""
    from bench.track.follower import Tracker
    from bench.track.mirror import default_uri

    if mlflow == "none":
        raise DistillbenchError("sync: --mlflow none leaves nothing to bring up to date.")
    plan, store = open_suite(**where)
    for stage in plan.stages:
        tracker = Tracker(stage, store, mlflow or default_uri(store))
        with working("bringing MLflow up to date"):
            behind = tracker.close(SYNC_PATIENCE_S)
        if behind:
            raise DistillbenchError(f"{behind} cells could not be logged: {tracker.trouble}")
    click.echo(f"{plan.suite.name}: MLflow is up to date.")


@main.command()
@suite_options
@device_option
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Compare with a report's bundle.json, from another machine perhaps, not with the store.",
)
def verify(device: str, bundle: Path | None, **where: Any) -> None:
    """Repeat the first 100 steps of SUITE's trained cells and compare their weights, bit for bit.

    Choose cells with --only and --seeds.
    """
    from bench.run.verify import verify as repeat
    from bench.store.lineage import Lineage, remark

    plan, store = open_suite(**where)
    lineage = Lineage(store)
    told = read_json(bundle).get("cells") if bundle else None
    if bundle and told is None:
        raise StoreError(f"{bundle}: no report's bundle.json.")
    failed = 0
    for entry in plan.entries:
        if entry.cell is not None:
            key = entry.cell.key
            end = told.get(key, {}).get("end", {}) if told else store.read(key, "end.json")
            spec = told.get(key, {}).get("spec", {}) if told else lineage.spec(key)
            if not (end.get("digest") or end.get("given")):
                click.echo(f"{key}  has not ended: nothing to compare with  {entry}")
                failed += 1
                continue
            teachers = {k: plan.cells[k] for k in {entry.cell.teacher} - {""}}
            with working(f"repeating {entry}"):
                verdict = repeat(entry.cell, teachers, store, end, choose_device(device))
            teacher = lineage.changed_teacher(spec) if verdict.same is False else ""
            said = "; ".join(filter(None, (verdict.explanation, remark(teacher))))
            why = f"  ({said})" if said else ""
            click.echo(f"{key}  {verdict.said}  {entry}{why}")
            failed += verdict.same is False
    if failed:
        sys.exit(1)


for tool in (cli_score.score, listing.list_, listing.metrics, listing.methods, cli_tools.count):
    main.add_command(tool)
main.add_command(cli_inspect.inspect)
main.add_command(scaffold.new)
main.add_command(cli_check.check)
main.add_command(cli_fetch.fetch)
main.add_command(cli_fetch.weights)
main.add_command(cli_compare.compare)
main.add_command(cli_compare.gate)
main.add_command(cli_export.export)
main.add_command(cli_export.generate)
