"""A Ray cluster as the place where a run computes.

The walk, its plan and its store stay on this machine. Nothing of Ray's security is touched here,
and no code is sent: distillbench is installed on every node.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import AbsentExtra, DistillbenchError
from bench.run.crew import Crew
from bench.run.executors import Executor
from bench.run.job import Emit

PATIENCE_S = 10.0  # to reach a cluster
HOW = "`ray start --head` starts one; if it asks for a token, set it here too (docs/scale.md)"


@dataclass(frozen=True)
class Cluster:
    """The nodes of a Ray cluster; see `bench.run.machine.Computer`."""

    device: str  # "cpu" or "cuda"
    store: Path
    jobs: int | None = None  # cohorts at once at most; None: as many as there is room for
    threads: int = 1
    checkpoint_s: float = 30.0
    num_cpus: float = 1.0  # of each cohort
    num_gpus: float = 0.0
    is_elsewhere: bool = field(default=True, init=False)

    def open(self, emit: Emit, cells: int) -> Executor:
        """Return who does the jobs; see `Computer.open`.

        Raises:
            DistillbenchError: no node has room for a cohort.
        """
        cells = max(1, cells)  # none where only networks are left to be measured
        return Crew(self, emit, min(self.jobs or cells, cells))


def connect(address: str) -> None:
    """Connect this process to a cluster.

    Args:
        address: "auto", host:port or ray://host:port.

    Raises:
        AbsentExtra: Ray is not installed.
        DistillbenchError: no cluster is there, or it does not let us in.
    """
    try:
        import ray
    except ImportError as error:
        raise AbsentExtra(
            "--executor ray: Ray is not installed: pip install -e '.[ray]'"
        ) from error
    if ray.is_initialized():
        return
    try:
        _reach(address)
        # Ray has all nodes look for modules in the present folder, where a `random.py` may lie
        with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray's, gRPC's and Python's own
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise DistillbenchError(
            f"--address {address}: no Ray cluster can be reached ({said}); {HOW}."
        ) from error


def _reach(address: str) -> None:
    """Knock where a cluster is said to be: Ray would wait for minutes.

    Raises:
        OSError: nobody is there.
        ValueError: it is no address.
    """
    if address == "auto":
        return
    place = urlsplit(address if "://" in address else f"//{address}")
    with socket.create_connection((place.hostname or "", place.port or 10001), PATIENCE_S):
        pass


def has_gpus() -> bool:
    """Say whether any node of the cluster has a GPU."""
    import ray

    return bool(ray.cluster_resources().get("GPU"))


def said() -> str:
    """Return in words which cluster this process is connected to."""
    import ray

    count = sum(node["Alive"] for node in ray.nodes())
    has = ray.cluster_resources()
    nodes = f"{count} node{'s' * (count != 1)}"
    return (
        f"Ray cluster {ray.get_runtime_context().gcs_address}: {nodes}, "
        f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs"
    )
