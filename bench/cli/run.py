"""`distillbench run`: trials first where a suite tunes, then the matrix."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.computer import OPTIONS, computer_options, open_computer
from bench.cli.options import open_suite, shard_option, suite_options
from bench.store.layout import Store
from bench.store.provenance import without_password

if TYPE_CHECKING:
    from bench.cli.progress import Display
    from bench.plan.matrix import Plan
    from bench.run.job import Emit
    from bench.run.walk import Outcome

PATIENCE_S = 60.0  # for MLflow, once training is over


@click.command()
@suite_options
@shard_option
@computer_options
@click.option(
    "--mlflow",
    metavar="URI",
    help="Tracking server, or none. [default: $MLFLOW_TRACKING_URI, or STORE/mlflow.db]",
)
@click.option("--measure", is_flag=True, help="Measure latency on this machine again.")
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Go on without metrics whose pretrained weights are not here; the table shows the hole.",
)
def run(
    mlflow: str | None,
    measure: bool,
    allow_missing: bool,
    **options: Any,
) -> None:
    """Train and score every cell of SUITE that is not done; resume those that were cut off.

    Teachers are trained once. Ctrl-C writes checkpoints and stops; the same command goes on.
    """
    from rich.console import Console

    from bench.cli.progress import Display

    by = {name: options[name] for name in OPTIONS}
    where = {name: value for name, value in options.items() if name not in OPTIONS}
    errors: list[str] = []
    trained = 0
    with Display(Console(stderr=True)) as display:
        display.enter("start-up: reading the suite")
        from bench.run.walk import Outcome, try_settings
        from bench.run.walk import run as run_plan

        plan, store = open_suite(**where)
        if by["executor"] == "ray":
            display.enter("start-up: looking for the Ray cluster")
        computer, notes = open_computer(store, **by)
        for text in (*notes, *_warnings(plan, store, computer.device)):
            display.say(f"note: {text}")
        attend = partial(_attend, display, store=store, mlflow=mlflow, command=again(where))
        if plan.trials and _has_trials_left(plan.trials, store):
            tried = partial(try_settings, plan, store, computer, allow_missing=allow_missing)
            outcome = attend(plan.trials, tried)
            errors, trained = outcome.errors, outcome.trained
            plan, store = open_suite(**where)
            for line in _chosen(plan):
                display.say(line)
        outcome = Outcome()
        if not (plan.shard and plan.shard.waiting):  # who gets what rests on what trials choose
            go = partial(
                run_plan, plan, store, computer, measure=measure, allow_missing=allow_missing
            )
            outcome = attend(plan, go)
    counts = count_places(plan, store)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    trained += outcome.trained
    name = f"{plan.suite.name}, shard {plan.shard}" if plan.shard else plan.suite.name
    click.echo(f"{name}: {trained} trained, {outcome.cached} cached; {said or 'no cell is in it'}")
    for text in _of_changed_teachers(plan, store, again(where)):
        click.echo(f"note: {text}", err=True)
    for error in (*errors, *outcome.errors):
        click.echo(f"distillbench: {error}", err=True)
    click.echo(_now(plan, where), err=True)
    if errors or outcome.errors or set(counts) - {"done", "skipped"}:
        sys.exit(1)


def _attend(
    display: Display,
    plan: Plan,
    walk: Callable[[Emit], Outcome],
    store: Store,
    mlflow: str | None,
    command: str,
) -> Outcome:
    """Show a walk over a plan to a person, and keep up MLflow's copy."""
    tracker = None
    if mlflow != "none":
        from bench.track.follower import Tracker  # pandas and Matplotlib behind it
        from bench.track.mirror import default_uri

        tracker = Tracker(plan, store, mlflow or default_uri(store))
    display.follow(plan, store)

    def listen(event: str, key: str, data: Any) -> None:
        display.listen(event, key, data)
        if tracker:
            tracker.listen(event, key, data)

    try:
        return walk(listen)
    finally:
        if tracker:
            display.enter("completing MLflow's copy")
            server = ["--mlflow", without_password(mlflow)] if mlflow else []
            _catch_up(tracker, f"{command} {shlex.join(server)}".strip(), display.say)


def _warnings(plan: Plan, store: Store, device: str) -> Iterator[str]:
    """Yield what will be missing, if something is about to be trained; the walk names weights."""
    ended = ("done", "diverged")
    if plan.open or any(store.state(key).status not in ended for key in plan.cells):
        from bench.run.outlook import remarks  # SciPy behind it: where all is done, do without

        yield from (r.text for r in remarks(plan, device) if r.kind != "weights")


def _of_changed_teachers(plan: Plan, store: Store, suite: str) -> Iterator[str]:
    """Yield what to do about cells that learnt from a teacher that has changed since."""
    from bench.store.lineage import caveat, changed_teachers

    if found := changed_teachers(store, plan.every_cell):
        yield (
            f"{caveat(list(found))} `distillbench status {suite}` names them all. Delete their "
            f"folders in {store.root / 'cells'} to have them trained again."
        )


def _has_trials_left(trials: Plan, store: Store) -> bool:
    """Say whether one of these trials has not ended."""
    from bench.run.walk import is_finished

    cells = [entry.cell for entry in trials.entries if entry.role == "trial" and entry.cell]
    return any(not is_finished(cell, trials, store) for cell in cells)


def _now(plan: Plan, where: Mapping[str, Any]) -> str:
    """Say what comes next."""
    if plan.shard is None:
        return f"Now: distillbench report {again(where)}"
    told = "Now, with the stores of all shards: distillbench merge STORE... --into STORE"
    if plan.shard.waiting:
        told += (
            f"; {plan.shard.waiting} places await trials of other shards, and no student trains "
            "before: then this command again, in the store that has them all"
        )
    return told


def _chosen(plan: Plan) -> Iterator[str]:
    """Yield what the trials of each place chose."""
    for entry in {entry.place: entry for entry in plan.students if entry.tuned}.values():
        place = str(entry).rpartition(" seed ")[0]
        number = entry.tuned["chosen"]
        said = entry.reason if number is None else entry.tuned["trials"][number]["said"]
        yield f"chosen    {place}: {said}"


def again(where: Mapping[str, Any]) -> str:
    """Return the suite and its options as they were given, for the next command."""
    said = [str(where["suite"])]
    said += [x for text in where["sets"] for x in ("--set", text)]
    said += [x for text in where["only"] for x in ("--only", text)]
    said += ["--seeds", where["seeds"]] if where["seeds"] else []
    said += ["--store", str(where["store"])] if where["store"] != Path("runs") else []
    return shlex.join(said)


def _catch_up(tracker: Any, command: str, say: Callable[[str], None]) -> None:
    """Complete MLflow's copy, or say how to do it later."""
    behind = tracker.close(PATIENCE_S)
    if behind:
        say(
            f"distillbench: MLflow lacks something of {behind} cells ({tracker.trouble}). "
            f"Nothing is lost: `distillbench sync {command}` completes it."
        )


def count_places(plan: Plan, store: Store) -> Counter[str]:
    """Count the places of the matrix by status."""
    from bench.report.rows import state_of

    return Counter(state_of(entry, plan, store).status for entry in plan.entries)
