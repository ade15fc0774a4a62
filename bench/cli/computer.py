"""Options of where a run computes: on this machine, on which of its GPUs, or on a Ray cluster."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bench.errors import SuiteError
from bench.run.gpus import OPTION

if TYPE_CHECKING:
    from bench.run.machine import Computer
    from bench.store.layout import Store

LEAST = 0.0001  # that Ray gives of anything


def _device(ctx: click.Context, param: click.Parameter, text: str) -> str:
    if not OPTION.fullmatch(text):
        raise click.BadParameter(f"{text!r}: expected auto, cpu, cuda, or GPUs as in cuda:1,3.")
    return text


def _share(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what Ray cannot give of a node."""
    if value and not LEAST <= value < math.inf:
        raise click.BadParameter(f"{value:g}: expected 0, or {LEAST:g} or more, and no end.")
    if value and value > 1 and param.name == "num_gpus" and not value.is_integer():
        raise click.BadParameter(f"{value:g}: Ray gives a part of one GPU, or whole ones.")
    return value


OPTIONS = {
    "jobs": click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Cohorts at once, each in a process; dealt evenly over the GPUs that are used. "
        "[default: all cores; one per GPU; all that a cluster has room for]",
    ),
    "threads": click.option(
        "--threads",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="CPU threads of each job. Bits depend on it, so it does not follow --jobs.",
    ),
    "device": click.option(
        "--device",
        callback=_device,
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda|cuda:N,...",
        help="Where to compute: cuda is every GPU that $CUDA_VISIBLE_DEVICES leaves visible, "
        "cuda:1,3 are two of them, counted from 0; auto is cuda where there is one, else cpu.",
    ),
    "executor": click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Who trains: this machine, or the nodes of a Ray cluster.",
    ),
    "address": click.option(
        "--address",
        metavar="ADDRESS",
        help="Where it is: host:port, ray://host:port or auto. [default: $RAY_ADDRESS, or auto]",
    ),
    "num_cpus": click.option(
        "--num-cpus",
        type=click.FloatRange(LEAST),
        callback=_share,
        help="CPUs of a node that each cohort takes, with ray. [default: --threads]",
    ),
    "num_gpus": click.option(
        "--num-gpus",
        type=click.FloatRange(0),
        callback=_share,
        help="The same of GPUs, as in 0.5: two cohorts share one. [default: 1 with cuda, else 0]",
    ),
    "checkpoint_s": click.option(
        "--checkpoint-every",
        "checkpoint_s",
        type=click.FloatRange(0),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="What a killed run may lose. Changes no bit.",
    ),
}


def computer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what `open_computer` takes; what contradicts is refused before a suite is read."""

    @functools.wraps(command)
    def checked(**options: Any) -> Any:
        of_ray = (options["address"], options["num_cpus"], options["num_gpus"])
        if options["executor"] == "local" and any(value is not None for value in of_ray):
            raise SuiteError("--address, --num-cpus and --num-gpus are for --executor ray.")
        if options["executor"] == "ray" and options["device"].startswith("cuda:"):
            said = f"--device {options['device']}: with --executor ray, Ray chooses GPUs: say cuda."
            raise SuiteError(said)
        return command(**options)

    for option in reversed(OPTIONS.values()):
        checked = option(checked)
    return checked


def open_computer(
    store: Store,
    *,
    jobs: int | None,
    threads: int,
    device: str,
    executor: str,
    address: str | None,
    num_cpus: float | None,
    num_gpus: float | None,
    checkpoint_s: float,
) -> tuple[Computer, list[str]]:
    """Return where a run computes, and what a person may want to know of it.

    The nodes of a cluster decide what `--device auto` is.

    Raises:
        DistillbenchError: a GPU is not there, Ray is not installed, no cluster is there, or GPUs of
            a cluster are asked for and not.
    """
    if executor == "local":
        from bench.run import gpus
        from bench.run.machine import Machine

        used = gpus.choose(device)
        jobs = jobs or len(used) or os.cpu_count() or 1
        return Machine(jobs, threads, checkpoint_s, used), list(gpus.remarks(used, jobs))
    from bench.run.cluster import Cluster, connect, has_gpus, said

    connect(address or os.environ.get("RAY_ADDRESS") or "auto")
    if device == "auto":
        device = "cuda" if has_gpus() and num_gpus != 0 else "cpu"
    share = num_gpus if num_gpus is not None else float(device == "cuda")
    if (device == "cuda") != (share > 0):
        raise SuiteError(f"--num-gpus {share:g} cannot stand with --device {device}.")
    cpus = num_cpus or threads
    cluster = Cluster(device, store.root, jobs, threads, checkpoint_s, cpus, share)
    return cluster, [said()]
