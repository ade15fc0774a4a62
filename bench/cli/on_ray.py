"""Options of a run on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import DistillbenchError

if TYPE_CHECKING:
    from bench.run.cluster import Cluster

OPTIONS = [
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Who trains: this machine, or the nodes of a Ray cluster.",
    ),
    click.option(
        "--address",
        metavar="ADDRESS",
        help="Where it is: host:port, ray://host:port or auto. [default: $RAY_ADDRESS, or auto]",
    ),
    click.option(
        "--num-cpus",
        type=click.FloatRange(0, min_open=True),
        help="CPUs of a node that each cohort takes, with ray. [default: --threads]",
    ),
    click.option(
        "--num-gpus",
        type=click.FloatRange(0),
        help="The same of GPUs, as in 0.5: two cohorts share one. [default: 1 with cuda, else 0]",
    ),
]


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what chooses a cluster, and a cohort's share of it."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def open_cluster(
    address: str | None,
    num_cpus: float | None,
    num_gpus: float | None,
    *,
    device: str,
    store: Path,
    jobs: int | None,
    threads: int,
    checkpoint_s: float,
) -> Cluster:
    """Connect to a cluster; its nodes decide what `auto` is.

    Raises:
        DistillbenchError: Ray is not installed, no cluster is there, or options contradict.
    """
    from bench.run.cluster import Cluster, connect, has_gpus

    connect(address or os.environ.get("RAY_ADDRESS") or "auto")
    if device == "auto":
        device = "cuda" if has_gpus() and num_gpus != 0 else "cpu"
    gpus = num_gpus if num_gpus is not None else float(device == "cuda")
    if (device == "cuda") != (gpus > 0):
        raise DistillbenchError(f"--num-gpus {gpus:g} cannot stand with --device {device}.")
    return Cluster(device, store, jobs, threads, checkpoint_s, num_cpus or threads, gpus)
