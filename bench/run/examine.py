"""A cell's folder, which may be from anywhere, is looked through before anything of it counts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.errors import Damaged, StoreError
from bench.plan.identity import identity, is_identity
from bench.store.arrays import read_arrays
from bench.store.forms import CELL_FILE, End, GivenCell, Losses, Score, Spec
from bench.store.layout import Json, Store, read_json
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
    def has_ended(self) -> bool:
        """Whether nothing is left to train."""
        return self.status in ("done", "diverged")

    @property
    def rank(self) -> tuple[int, int]:
        """What is worth more compares greater: ended before begun, further before less far."""
        if self.has_ended:
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
        return f"{device}, {threads} thread{'s' * (threads != '1')}, torch {torch}"


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
    with well_formed(files["spec.json"]):
        if spec.get("key") != key:
            raise ValueError("key: another cell's")
        cell = Spec.model_validate(spec).cell
    end = store.read(key, "end.json")
    if end:
        with well_formed(files["end.json"]):
            End.model_validate(end)
    if "scores.json" in files:
        scores_in(files["scores.json"])
    if "losses.jsonl" in files:
        *lines, _ = files["losses.jsonl"].read_bytes().split(b"\n")  # the last may be torn
        with well_formed(files["losses.jsonl"]):
            for line in lines:
                Losses.model_validate_json(line)
    for record in (spec, end):
        store.provenance(record.get("provenance", ""))  # which has to be an id
    status, step = store.state(key).status, int(end.get("step", 0))
    weights = ""
    has_weights = not (isinstance(cell, GivenCell) and cell.given.kind == "images")
    if status == "done" and has_weights:
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


def scores_in(path: Path) -> dict[str, Json]:
    """Return scores by id.

    Raises:
        Damaged: the file holds something else.
    """
    with well_formed(path):
        found = read_json(path)
        for name, score in found.items():
            Score.model_validate(score)
            if not is_identity(name):
                raise ValueError("an id is none")
        return found


@contextlib.contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Say of which file it is where what it holds is not what it should be.

    Raises:
        Damaged: so it is.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_context=False, include_input=False, include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise Damaged(f"{path}: damaged: {what}.") from error
    except ValueError as error:
        raise Damaged(f"{path}: damaged: {error}.") from error
    except StoreError as error:  # no JSON, say
        raise Damaged(str(error)) from error


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
