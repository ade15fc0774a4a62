"""What works for a run on another machine: one worker process there, and the way to its store.

Where the machine sees the run's store, the worker works in it. Elsewhere it works in a store of its
own, which lasts as long as the worker, and what changes there travels.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
import time
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import features

from bench.errors import DistillbenchError
from bench.fetch.missing import missing_weights
from bench.plan.cell import open_dataset
from bench.plugins import outside
from bench.plugins.source import ROOT
from bench.run.executors import Processes
from bench.run.held import hold, sweep
from bench.run.job import Job
from bench.run.machine import limited
from bench.run.travel import Crossing, Freight, in_folder, of_cell, of_teacher
from bench.store import provenance
from bench.store.layout import Store
from bench.train.decoded import LIBRARIES

HEAR_S = 0.5  # events of so long are told at once
TOLD_AT_ONCE = ("ended", "scored", "error", "interrupted", "died")  # by what lies in the store
OWN = "distillbench-node-"  # begins the name of a store of its own
PIXELS = ("torchvision", "pillow", "numpy", *LIBRARIES)  # beside torch
FOLDERS = ("networks", "references", "provenance", "latents")  # beside the cells'


@dataclass(frozen=True)
class Errand:
    """What a worker on another machine is told once."""

    node: Mapping[str, Any]  # what its results say of the machine
    places: outside.Places  # of users' modules
    threads: int
    store: Path  # of the run, absolute
    token: str  # name of a file in it
    argv: list[str]  # of the run
    travels_s: float  # at least this long between two checkpoints that travel


@dataclass(frozen=True)
class News:
    """What happened since the last time."""

    events: list[tuple[str, str, Any]]
    freight: Freight  # what lies in the store by then
    is_over: bool = False


class Hand:
    """Does one job after another on the machine where it is made."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        outside.look_in(errand.places)
        self.sees_store = (errand.store / errand.token).exists()
        root = errand.store
        if not self.sees_store:
            root = Path(tempfile.mkdtemp(prefix=OWN))
            self._lock = hold(root)
            sweep(root.parent.glob(f"{OWN}*"))  # of those that were killed
        self.store = Store(root)
        self._crossing = Crossing(self.store)
        self._record = ("", "")  # ids: of the run's own, and of what is said of this machine
        self._events: list[tuple[str, str, Any]] = []
        self._worker = Processes(self._take, [limited(errand.threads)])
        self._keys, self._cells = set[str](), set[str]()  # of the job: all, and those it trains
        self._is_busy = False
        self._sent_at = 0.0

    def look(self) -> tuple[dict[str, str], bool]:
        """Return the versions here, and whether the run's store is seen from here."""
        return versions(), self.sees_store

    def begin(self, job: Job, freight: Freight, sources: Mapping[str, str]) -> None:
        """Start a job; what it needs of the run's store came along.

        Args:
            job: what to do.
            freight: files for it.
            sources: what `sources_of` says of a check where the run was asked.

        Raises:
            Damaged: what came is not what was sent.
        """
        self._empty()
        self._keys, self._cells = keys_of(job), {cell.key for cell in job.cells}
        self._crossing.unpack(freight, self._keys, is_newer=True)
        self._sent_at = time.monotonic()
        self._is_busy = True
        if job.action == "check" and (lacking := list(_lacking(job, sources))):
            self._events.append(("error", "", {"reason": "; ".join(lacking)}))
            self._is_busy = False
            return
        if self._record[0] != job.provenance:
            self._record = (job.provenance, self.store.add_provenance(self._told(job.provenance)))
        self._worker.submit(replace(job, store=self.store.root, provenance=self._record[1]))

    def hear(self) -> News:
        """Return what happened, once something did or `HEAR_S` has passed."""
        until = time.monotonic() + HEAR_S
        while self._is_busy and time.monotonic() < until:
            self._is_busy = not self._worker.wait()
        events, self._events = self._events, []
        is_told = any(event in TOLD_AT_ONCE for event, _, _ in events)
        is_due = time.monotonic() - self._sent_at > self.errand.travels_s
        is_over = not self._is_busy
        freight = self._changes() if is_told or is_due or is_over else Freight()
        return News(events, freight, is_over)

    def stop(self) -> None:
        """Have the job write its checkpoints and end."""
        self._worker.stop()

    def close(self) -> None:
        """End the worker, and remove a store of its own."""
        self._worker.close()
        if not self.sees_store:
            shutil.rmtree(self.store.root, ignore_errors=True)

    def _empty(self) -> None:
        """Keep of the last job's cells, which have been sent, only what others need of them."""
        if self.sees_store:
            return
        for key in self._cells:
            for place in of_cell(self.store, key):
                if place not in of_teacher(key):
                    (self.store.root / place).unlink()
        self._crossing.forget(self._cells)

    def _take(self, *event: Any) -> None:
        self._events.append(event)

    def _told(self, asked_by: str) -> dict[str, Any]:
        """Return where results of this machine are from, and the id of where the run was asked."""
        node = {**self.errand.node, "gpus": provenance.gpus()}
        told = {"argv": self.errand.argv, "asked_by": asked_by, "node": node}
        return provenance.collect() | told

    def _changes(self) -> Freight:
        if self.sees_store:
            return Freight()
        self._sent_at = time.monotonic()
        places = [place for key in self._keys for place in of_cell(self.store, key)]
        places += [place for name in FOLDERS for place in in_folder(self.store, name)]
        return self._crossing.pack(places, self._keys)


def keys_of(job: Job) -> set[str]:
    """Return the cells whose files may travel for a job."""
    return {cell.key for cell in job.cells} | job.above


def versions() -> dict[str, str]:
    """Return what has to be equal on all machines: it fixes the bits of a run."""
    digest = hashlib.sha256()
    for folder in ("bench", "baselines", "reports"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        # without whether it is a CPU's build or a GPU's
        **{name: metadata.version(name).partition("+")[0] for name in ("torch", *PIXELS)},
        "libjpeg": str(features.version("jpg")),
        "distillbench's sources": digest.hexdigest()[:12],
    }


def sources_of(job: Job) -> dict[str, str]:
    """Return plug-in -> hash of its file, of all plug-ins of a job: users' own differ by folder.

    Raises:
        PluginError: this machine lacks one.
    """
    parts = (*job.metrics, *job.watched)
    own = {f"{part.kind.name} {part.name}": part.source_hash() for part in parts}
    return dict(ChainMap(own, *(cell.sources() for cell in job.cells)))


def _lacking(job: Job, sources: Mapping[str, str]) -> Iterator[str]:
    """Yield what this machine lacks of plug-ins, of data sets and of metrics' weights."""
    try:
        here = sources_of(job)
    except DistillbenchError as error:
        yield f"it lacks a plug-in: {error}".rstrip(".")
        return
    for name in sorted(name for name, there in sources.items() if here.get(name) != there):
        yield f"its file of {name} has other content than that of the machine that asks"
    for part in {(c.dataset.path, c.dataset.fingerprint): c.dataset for c in job.cells}.values():
        try:
            found = open_dataset(part).fingerprint()
        except DistillbenchError as error:
            yield f"it lacks data set {part.name}: {error}".rstrip(".")
        else:
            if found != part.fingerprint:
                yield (
                    f"its data set {part.name} has other images than the plan's "
                    f"(fingerprint {found}, expected {part.fingerprint})"
                )
    for metric in (*job.metrics, *job.watched):
        if why := missing_weights(metric):
            yield why
