"""Brings the results of several stores into one, and picks nothing where they contradict.

Of a cell that several have, the one that got further counts. Where both ended, they are to be equal
bit for bit: else both stay where they are, and that is a finding.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import Busy, Damaged, StoreError
from bench.plan.identity import identity, is_identity
from bench.run.examine import Examined, examine, files_of, scores_in
from bench.store.arrays import read_arrays, write_arrays
from bench.store.atomic import free_bytes, replacing
from bench.store.layout import Json, Store, read_json, write_json
from bench.store.lineage import changed_teachers
from bench.train import checkpoint

PATIENCE_S = 5.0  # for a cell that another process holds
LAST = ("scores.json", "spec.json", "end.json")  # of a cell's files; who lacks one has not ended

Follow = Callable[[Sequence[tuple[Store, str]]], Iterable[tuple[Store, str]]]


@dataclass
class Merged:
    """What merging did."""

    stores: int
    taken: int = 0  # cells that the target lacked, or had less of
    there: int = 0  # cells that it had as well, or more of
    findings: list[str] = field(default_factory=list)  # what was left where it is, and why

    def __str__(self) -> str:
        """Return it in one line."""
        stores = f"{self.stores} store{'s' * (self.stores != 1)}"
        findings = f"{len(self.findings)} finding{'s' * (len(self.findings) != 1)}"
        return f"merged {stores}: {self.taken} cells taken, {self.there} there already, {findings}"


def merge(sources: Sequence[Store], into: Store, follow: Follow = iter) -> Merged:
    """Bring all results of some stores into another; doing it again changes nothing.

    MLflow's copies are not touched.

    Args:
        sources: stores, which are only read; a file that is older than digests is given one.
        into: the store that is to have everything; it may not exist yet.
        follow: goes through the cells, and may show how far that is.

    Raises:
        StoreError: a source is no store or is the target, or the disk is too small or full. What
            was brought over until then is whole.
    """
    for source in sources:
        if not (source.root / "cells").is_dir():
            raise StoreError(f"{source.root}: no store: it holds no cells.")
        if source.root.resolve() == into.root.resolve():
            raise StoreError(f"{source.root}: cannot be merged into itself.")
    return _Merge(sources, into).go(follow)


class _Merge:
    """One merge, and what it has found so far."""

    def __init__(self, sources: Sequence[Store], into: Store) -> None:
        self.sources, self.into = sources, into
        self.merged = Merged(len(sources))

    def go(self, follow: Follow) -> Merged:
        found = [(source, key) for source in self.sources for key in self._keys(source)]
        self._check_room(found)
        for source in self.sources:
            self._provenances(source)
        left: dict[int, str] = {}  # place of a finding -> the cell that was not taken
        for source, key in follow(found):
            try:
                self._cell(source, key)
            except (Damaged, Busy) as error:
                left[len(self.merged.findings)] = key
                self.merged.findings.append(f"cell {key}: not taken: {error}")
        for finding, key in left.items():
            with contextlib.suppress(Damaged):
                if examine(self.into, key).has_ended:
                    self.merged.findings[finding] += f" {self.into.root} has a whole one."
        for source in self.sources:
            for folder in ("networks", "references"):
                for path in self._named(source, folder, ".json"):
                    with self._finding("not taken"):
                        self._shared_scores(path, self.into.root / folder / path.name)
            for folder in ("reals", "latents", "prepared"):
                for path in self._named(source, folder, ".safetensors"):
                    with self._finding("not taken"):
                        self._content(path, self.into.root / folder / path.name)
        self.merged.findings += self._strangers()
        return self.merged

    def _keys(self, store: Store) -> Iterator[str]:
        """Yield the names of a store's cells."""
        for path in sorted((store.root / "cells").iterdir()):
            if is_identity(path.name):
                yield path.name
            elif path.is_dir() and not path.name.startswith("."):
                self.merged.findings.append(f"{path}: not taken: no cell's name.")

    def _named(self, store: Store, folder: str, ending: str) -> Iterator[Path]:
        """Yield the files of a folder that are called by an id."""
        place = store.root / folder
        if place.is_symlink():
            self.merged.findings.append(f"{place}: not taken: a link, not a folder.")
            return
        for path in sorted(place.glob(f"*{ending}")):
            is_named = is_identity(path.name.removesuffix(ending))
            if not is_named or path.is_symlink() or not path.is_file():
                said = f"{path}: not taken: no file, a link, or its name is no id."
                self.merged.findings.append(said)
            else:
                yield path

    @contextlib.contextmanager
    def _finding(self, what: str) -> Iterator[None]:
        """Take what is wrong with a file of a source as a finding, and go on."""
        try:
            yield
        except (Damaged, Busy) as error:
            self.merged.findings.append(f"{what}: {error}")

    def _check_room(self, found: Iterable[tuple[Store, str]]) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            StoreError: how much is needed, and how much there is.
        """
        lacking = {key: store for store, key in found if not self.into.folder(key).exists()}
        needed = 0
        for key, store in lacking.items():
            with contextlib.suppress(Damaged):  # it is told of later
                needed += sum(path.stat().st_size for path in files_of(store, key).values())
        free = free_bytes(self.into.root)
        if needed > free:
            raise StoreError(
                f"{self.into.root}: the stores hold {needed / 1e9:,.1f} GB more, and "
                f"{free / 1e9:,.1f} GB are free there."
            )

    def _cell(self, source: Store, key: str) -> None:
        """Bring one cell over, or what the target lacks of it.

        Raises:
            Damaged: the source's or the target's is.
            Busy: another process is at work on it.
        """
        theirs = examine(source, key)
        if theirs.status == "missing":
            return
        files_of(self.into, key)  # no lock is written where a link leads
        with self.into.lock(key, PATIENCE_S):
            try:
                mine = examine(self.into, key)
            except Damaged as error:
                folder = self.into.folder(key)
                raise Damaged(f"{error} Delete {folder}, and merge again.") from error
            if theirs.rank > mine.rank:
                self._take(theirs, key)
                self.merged.taken += 1
            elif theirs.has_ended and mine.has_ended and theirs.ended_as != mine.ended_as:
                self.merged.findings.append(
                    f"cell {key}: {source.root} has {theirs.ended_as} ({theirs.environment}), "
                    f"{self.into.root} has {mine.ended_as} ({mine.environment}) and keeps that. "
                    f"Delete cells/{key} where it is not to count, and merge again."
                )
            else:
                self.merged.there += 1
                if theirs.has_ended and mine.has_ended:
                    self._complete(source, theirs, mine, key)

    def _strangers(self) -> Iterator[str]:
        """Yield which cells learnt from other weights than their teacher has in the target."""
        found: dict[str, list[str]] = {}
        keys = sorted(path.name for path in (self.into.root / "cells").glob("*"))
        for key, teacher in changed_teachers(self.into, keys).items():
            found.setdefault(teacher, []).append(f"cells/{key}")
        for teacher, cells in found.items():
            yield (
                f"cell {teacher}: {len(cells)} of {self.into.root} learnt from other weights of it "
                f"than are there now: delete {', '.join(cells)}, and they are trained again."
            )

    def _take(self, theirs: Examined, key: str) -> None:
        """Copy a cell; until its end is there, it has not ended."""
        folder = self.into.folder(key)
        for name in (name for name in theirs.files if name not in LAST):
            _copy(theirs.files[name], folder / name)
        for name in ("end.json", "resume.safetensors"):
            if name not in theirs.files:
                (folder / name).unlink(missing_ok=True)
        for name in (name for name in LAST if name in theirs.files):
            _copy(theirs.files[name], folder / name)

    def _complete(self, source: Store, theirs: Examined, mine: Examined, key: str) -> None:
        """Add the files and scores that a cell of equal bits has elsewhere."""
        folder = self.into.folder(key)
        own = ("images.npz", "resume.safetensors", "log", *LAST)
        for name, path in theirs.files.items():
            if name not in mine.files and name not in own:
                _copy(path, folder / name)
        where = f"cell {key}: of equal weights, {source.root} ({theirs.environment})"
        own_scores, others = self.into.scores(key), source.scores(key)
        scores = self._united(own_scores, others, where, mine.environment)
        before = _arrays(self.into.images(key))
        arrays = dict(before)
        for name, array in _arrays(source.images(key)).items():
            kind, _, rest = name.partition("/")
            score = rest.partition("/")[0]
            if kind == "names" or _values(scores.get(score)) == _values(others.get(score)):
                arrays.setdefault(name, array)
        if arrays.keys() != before.keys():
            write_arrays(self.into.images(key), arrays)
        if scores != own_scores:
            self.into.write(key, "scores.json", scores)

    def _united(
        self, mine: Mapping[str, Json], theirs: Mapping[str, Json], where: str, here: str = ""
    ) -> dict[str, Json]:
        """Return the scores of both; of those that contradict mine, and a finding."""
        found = dict(mine)
        for name, score in theirs.items():
            old = found.get(name)
            if old is None or (score["values"] and not old["values"]):
                found[name] = score
            elif not score["values"]:
                continue
            elif "clocks" in score:  # a machine was timed, twice: as a run, keep the last
                found[name] = max(old, score, key=lambda s: float(s["scored_at"]))
            elif _values(old) != _values(score):
                said = f" ({here})" if here else ""
                self.merged.findings.append(
                    f"{where} has {score['metric']} {_values(score)}, {self.into.root}{said} has "
                    f"{_values(old)} and keeps that."
                )
        return found

    def _shared_scores(self, theirs: Path, mine: Path) -> None:
        """Bring over the scores of a network, or of real images.

        Raises:
            Damaged: what the file holds are no scores.
        """
        scores, before = scores_in(theirs), scores_in(mine)
        found = self._united(before, scores, f"{theirs}:")
        if found != before:
            write_json(mine, found)

    def _content(self, theirs: Path, mine: Path) -> None:
        """Bring over features, codes or what methods prepared, with what a file beside tells.

        Raises:
            Damaged: the file is.
        """
        tensors, _ = checkpoint.load(theirs)
        if not mine.exists():
            _copy(theirs, mine)
            told = theirs.with_suffix(".json")
            if told.is_file() and not told.is_symlink():
                write_json(mine.with_suffix(".json"), _read(told))
        elif checkpoint.digest(tensors) != checkpoint.digest(checkpoint.load(mine)[0]):
            self.merged.findings.append(f"{theirs}: differs from {mine}, which stays.")

    def _provenances(self, source: Store) -> None:
        """Bring over where results are from."""
        for path in self._named(source, "provenance", ".json"):
            with self._finding("not taken"):
                record = _read(path)
                if identity(record) != path.stem:
                    raise Damaged(f"{path}: changed: what it says has another id.")
                self.into.add_provenance(record)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with source.open("rb") as read, replacing(target) as write:
        shutil.copyfileobj(read, write)


def _read(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        Damaged: it is none.
    """
    try:
        return read_json(path)
    except StoreError as error:
        raise Damaged(str(error)) from error


def _arrays(path: Path) -> dict[str, Any]:
    return read_arrays(path) if path.exists() else {}


def _values(score: Json | None) -> str:
    """Return a score's values as text, by name and in full: two NaN are equal."""
    named = sorted(score["values"].items()) if score else ()
    return ", ".join(f"{name} {value!r}" for name, value in named)
