"""A cell's folder, which may be from anywhere, is looked through before anything of it counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.errors import Damaged, StoreError
from bench.plan.identity import identity, is_identity
from bench.store.arrays import read_arrays
from bench.store.forms import CELL_FILE, End, Score
from bench.store.layout import Json, Store
from bench.train import checkpoint, resume
from bench.train.trained import damage


@dataclass(frozen=True)
class Examined:
    """What a store has of a cell, and that it is whole."""

    status: str  # as in `State`
    step: int  # how far it was trained, where it is not done
    weights: str  # digest, where it is done
    end: Json  # how it ended; {} if it did not
    files: Mapping[str, Path]  # name within the cell's folder -> the file

    @property
    def rank(self) -> tuple[int, int]:
        """What is worth more compares greater: ended before begun, further before less far."""
        if self.status in ("done", "diverged"):
            return 2, 0
        return (0, 0) if self.status == "missing" else (1, self.step)

    @property
    def ended_as(self) -> str:
        """How it ended, in words that are equal for equal bits."""
        if self.status == "diverged":
            return f"diverged at step {self.step}"
        return f"weights {self.weights}" if self.weights else self.status

    @property
    def environment(self) -> str:
        """Where it was computed, as a person would say it."""
        found = [
            self.end.get("environment", {}).get(name) for name in ("device", "threads", "torch")
        ]
        device, threads, torch = ("unknown" if x is None else str(x) for x in found)
        return f"{device}, {threads} threads, torch {torch}"


def examine(store: Store, key: str) -> Examined:
    """Return what a store has of a cell.

    Raises:
        Damaged: a file is a link, or not what was written to it, or is another cell's.
    """
    try:
        return _examine(store, key, files_of(store, key))
    except Damaged:
        raise
    except StoreError as error:  # no JSON, say
        raise Damaged(str(error)) from error


def _examine(store: Store, key: str, files: Mapping[str, Path]) -> Examined:
    if "spec.json" not in files:
        return Examined("missing", 0, "", {}, {})
    spec = store.read(key, "spec.json")
    if identity(spec.get("cell")) != key:
        raise Damaged(f"{files['spec.json']}: changed: what it says has another key.")
    end, scores = store.read(key, "end.json"), store.scores(key)
    try:
        if end:
            End.model_validate(end)
        for score in scores.values():
            Score.model_validate(score)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise Damaged(
            f"{store.folder(key)}: end.json or scores.json is damaged: {what}."
        ) from error
    if not all(is_identity(name) for name in scores):
        raise Damaged(f"{store.folder(key)}: scores.json is damaged: an id is none.")
    for record in (spec, end):
        store.provenance(record.get("provenance", ""))  # which has to be an id
    status, step = store.state(key).status, int(end.get("step", 0))
    weights = ""
    if status == "done" and (spec["cell"].get("given") or {}).get("kind") != "images":
        if wrong := damage(store, key):
            raise Damaged(wrong)
        weights = checkpoint.digest(checkpoint.load(store.checkpoint(key))[0])
    elif status in ("started", "failed") and "resume.safetensors" in files:
        step = resume.load(files["resume.safetensors"], key)[1].step
    for name, path in files.items():
        if name.startswith(("snapshots/", "made/")):
            _, notes = checkpoint.load(path)
            if notes.get("key", key) != key:
                raise Damaged(f"{path}: of cell {notes['key']}.")
    if "images.npz" in files:
        read_arrays(files["images.npz"])
    return Examined(status, step, weights, end, files)


def files_of(store: Store, key: str) -> dict[str, Path]:
    """Return the files of a cell's folder that runs write, by their names within it.

    Raises:
        Damaged: one is a link, which may lead anywhere.
    """
    folder, found = store.folder(key), {}
    if folder.is_symlink():
        raise Damaged(f"{folder}: a link, not a folder.")
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.is_symlink():
                raise Damaged(f"{path}: a link, not a file.")
            inside = path.relative_to(folder).as_posix()
            if CELL_FILE.fullmatch(inside) and path.is_file():
                found[inside] = path
    return dict(sorted(found.items()))
