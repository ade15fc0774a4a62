"""Results on disk: one folder per cell, which is the truth that MLflow and reports copy.

    cells/KEY/spec.json             the cell, where it runs, and which weights teach it; written
                                    before the first step
    cells/KEY/losses.jsonl          losses over time
    cells/KEY/resume.safetensors    everything that the next step depends on, while it trains
    cells/KEY/checkpoint.safetensors  the networks, once training has ended
    cells/KEY/snapshots/STEP.safetensors  generators on the way, where a suite asks for them
    cells/KEY/end.json              how it ended: done, failed(reason) or diverged(step),
                                    and what its methods found out
    cells/KEY/scores.json           scores by id: a metric, its version, its protocol
    cells/KEY/images.npz            what its scores are of each test image, and of resamples of them
    cells/KEY/samples/              some test images as the student makes them
    cells/KEY/made/ID/FIRST-END.safetensors  all of them where they are made from noise, by content
    cells/KEY/log                   tracebacks
    networks/ID.json                scores of a network as such: size, cost, latency
    references/ID.json              scores of real images beside samples, by the images' content
    reals/ID.safetensors            features of real images, by content
    latents/ID.safetensors, ID.json  codes of training images, and their statistics, by content
    prepared/ID.safetensors         what methods found of a teacher and all inputs, by content
    prepared/ID.lock                empty: held by whoever is finding it out
    provenance/ID.json              commit, changes, versions, machine, command line

Every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.contracts.verdict import why_untrained
from bench.errors import Busy, StoreError
from bench.plan.identity import identity, is_identity
from bench.store.atomic import append, make_folder, replacing

Json = dict[str, Any]

TAIL = 1 << 16  # bytes of a loss log in which its last record lies


@dataclass(frozen=True)
class State:
    """Where a cell stands."""

    status: str  # "missing", "started", "done", "failed" or "diverged"
    reason: str = ""
    step: int = 0

    @property
    def detail(self) -> str:
        """What explains the status, if anything needs to."""
        return f"step {self.step}" if self.status == "diverged" else self.reason

    def __str__(self) -> str:
        """Return the status with what explains it."""
        return f"{self.status} ({self.detail})" if self.detail else self.status


class Store:
    """A folder of results. Several processes may use it; one at a time trains a cell."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cells = root / "cells"

    def folder(self, key: str) -> Path:
        """Return a cell's folder, which may not exist yet."""
        return self._cells / key

    def checkpoint(self, key: str) -> Path:
        """Return the file of a trained cell's networks."""
        return self.folder(key) / "checkpoint.safetensors"

    def snapshot(self, key: str, step: int) -> Path:
        """Return the file of a cell's generators at a step."""
        return self.folder(key) / "snapshots" / f"{step}.safetensors"

    def resume(self, key: str) -> Path:
        """Return the file from which training goes on."""
        return self.folder(key) / "resume.safetensors"

    def state(self, key: str) -> State:
        """Return where a cell stands."""
        end = self.read(key, "end.json")
        if end:
            if "status" not in end:
                path = self.folder(key) / "end.json"
                raise StoreError(f"{path}: does not say how the cell ended; delete the file.")
            return State(end["status"], end.get("reason", ""), end.get("step", 0))
        return State("started" if (self.folder(key) / "spec.json").exists() else "missing")

    def result(self, key: str) -> tuple[str, Json, str]:
        """Return how a cell ended, its scores by id, and why it counts as not trained, or ""."""
        why = why_untrained(self.read(key, "end.json").get("facts"))
        return self.state(key).status, self.scores(key), why

    def read(self, key: str, name: str) -> Json:
        """Return a JSON file of a cell; {} where there is none."""
        return read_json(self._cells.joinpath(key, name))

    def write(self, key: str, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of a cell."""
        write_json(self.folder(key) / name, value)

    def scores(self, key: str) -> Json:
        """Return a cell's scores by id."""
        return self.read(key, "scores.json")

    def images(self, key: str) -> Path:
        """Return the file of what the errors in a cell's scores are computed from."""
        return self.folder(key) / "images.npz"

    def made(self, key: str) -> Path:
        """Return the folder of a cell's outputs that are made from noise, batch by batch."""
        return self.folder(key) / "made"

    def network(self, network: str) -> Path:
        """Return the file of a network's own scores."""
        return self.root / "networks" / f"{network}.json"

    def reference(self, content: str) -> Path:
        """Return the file of the scores that real images have beside samples."""
        return self.root / "references" / f"{content}.json"

    def real(self, content: str) -> Path:
        """Return the file of a real set's features."""
        return self.root / "reals" / f"{content}.safetensors"

    def latents(self, content: str) -> Path:
        """Return the file of a training split's codes."""
        return self.root / "latents" / f"{content}.safetensors"

    def prepared(self, content: str) -> Path:
        """Return the file of what a method found of a teacher and the training inputs."""
        return self.root / "prepared" / f"{content}.safetensors"

    def fail(self, key: str, reason: str) -> None:
        """Record that a cell failed; the next run tries it again."""
        self.write(key, "end.json", {"status": "failed", "reason": reason})

    def disown(self, key: str, reason: str) -> None:
        """Record that a cell that was done has lost its weights; the next run trains it again.

        Its scores go too, and what it made: they are of the weights that are lost.
        """
        self.fail(key, reason)
        (self.folder(key) / "scores.json").unlink(missing_ok=True)
        self.images(key).unlink(missing_ok=True)
        shutil.rmtree(self.made(key), ignore_errors=True)

    def log(self, key: str, text: str) -> None:
        """Add to a cell's log."""
        append(self.folder(key) / "log", text)

    def losses(self, key: str, at_most: int | None = None) -> list[Json]:
        """Return the records of the loss log, oldest first; what is none, torn say, is left out.

        Where there are more than `at_most` (2 or more), as many at even distances, the first and
        the last among them.
        """
        try:
            log = (self.folder(key) / "losses.jsonl").read_bytes()
        except FileNotFoundError:
            return []
        lines = log.splitlines()
        if at_most is not None and len(lines) > at_most:
            gap = (len(lines) - 1) / (at_most - 1)
            lines = [lines[round(gap * i)] for i in range(at_most)]
        return [record for line in lines if (record := _loss_record(line))]

    def last_loss(self, key: str) -> Json:
        """Return the last whole record of the loss log, read from its end; {} where none is."""
        try:
            with (self.folder(key) / "losses.jsonl").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return {}
        return next((found for line in reversed(lines) if (found := _loss_record(line))), {})

    def log_losses(self, key: str, record: Mapping[str, Any]) -> None:
        """Append one record to the loss log."""
        append(self.folder(key) / "losses.jsonl", json.dumps(record) + "\n")

    def rewind_losses(self, key: str, step: int) -> None:
        """Drop the records after a step: a resumed run writes them again."""
        kept = [r for r in self.losses(key) if r["step"] <= step]
        text = "".join(json.dumps(r) + "\n" for r in kept)
        with replacing(self.folder(key) / "losses.jsonl") as file:
            file.write(text.encode())

    def add_provenance(self, provenance: Json) -> str:
        """Keep a provenance record once; return its id."""
        name = identity(provenance)
        path = self.root / "provenance" / f"{name}.json"
        if not path.exists():
            write_json(path, provenance)
        return name

    def provenance(self, name: str) -> Json:
        """Return a provenance record; {} where there is none.

        Raises:
            StoreError: the name, which a server may have given, is no id.
        """
        if name and not is_identity(name):
            raise StoreError(f"{self.root}: a cell has {name!r} in place of its provenance's id.")
        return read_json(self.root / "provenance" / f"{name}.json")

    def specs(self) -> Iterator[Json]:
        """Yield the spec of every cell in the store.

        Raises:
            StoreError: the folder cannot be read, or a spec is none.
        """
        try:
            with os.scandir(self._cells) as found:
                keys = sorted(entry.name for entry in found if entry.is_dir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._cells}: cannot be read: {error.strerror}.") from error
        for key in keys:
            if spec := self.read(key, "spec.json"):
                yield spec

    @contextlib.contextmanager
    def lock(self, key: str, timeout_s: float) -> Iterator[None]:
        """Hold a cell for this process; the lock dies with the process.

        Raises:
            Busy: another process has held it for `timeout_s` seconds.
        """
        folder = self.folder(key)
        make_folder(folder)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout as error:
            raise Busy(f"{folder}: another process is at work on this cell.") from error
        try:
            yield
        finally:
            lock.release()


def _loss_record(line: bytes) -> Json:
    """Return a record of the loss log; {} where a line is none."""
    try:
        record: Json = json.loads(line)
        for value in record["losses"].values():
            float(value)
        whole = all(math.isfinite(record[name]) for name in ("step", "seconds", "time"))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, OverflowError):
        return {}
    return record if whole and record["step"] > 0 else {}


def read_json(path: Path) -> Json:
    """Return a JSON object; {} where the file does not exist.

    Raises:
        StoreError: the file is not JSON, so it was not written by us.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not JSON ({error}); delete it to have it made again.") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path}: holds no object; delete it to have it made again.")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=1).encode() + b"\n")
