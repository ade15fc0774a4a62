"""Files of a store on their way to the store of another machine, as checked bytes.

What arrives is looked at before anything is written: whether each file is one that may come, and
whether its bytes are those that were sent. Nothing leaves its folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NoReturn

from bench.errors import Damaged
from bench.plan.identity import identity
from bench.store.atomic import replacing
from bench.store.layout import Json, Store, read_json, write_json

CELL = re.compile(r"cells/([0-9a-f]{12})((?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}){1,3})")
BESIDE = re.compile(
    r"(networks|references|provenance)/[0-9a-f]{12}\.json|latents/[0-9a-f]{12}\.(safetensors|json)"
)
ADDED_TO = ("networks/", "references/", "provenance/")
END = "/end.json"  # how a cell ended: true once all else is there
TAUGHT_BY = ("spec.json", "end.json", "checkpoint.safetensors")  # what others need of a cell


@dataclass(frozen=True)
class Freight:
    """What travels."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # place -> (sha256, content)
    gone: tuple[str, ...] = ()  # places of files that are no more


class Crossing:
    """One end of the way between two stores; it knows what the other end has."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, tuple[int, int]] = {}  # place -> (time, bytes) when both had it

    def pack(self, places: Iterable[str], keys: Collection[str]) -> Freight:
        """Return what the other end lacks.

        Args:
            places: of the files that it should have.
            keys: cells of which it should have nothing else.
        """
        files = {}
        for place in sorted(places):
            stamp = self._stamp(place)
            if stamp is None or self._known.get(place) == stamp:
                continue
            try:
                content = (self.store.root / place).read_bytes()
            except FileNotFoundError:
                continue  # replaced this very moment: the next time
            files[place] = (hashlib.sha256(content).hexdigest(), content)
            self._known[place] = stamp
        known = [place for place in self._known if _key(place) in keys]
        gone = tuple(place for place in known if self._stamp(place) is None)
        for place in gone:
            del self._known[place]
        return Freight(files, gone)

    def unpack(self, freight: Freight, keys: Collection[str], is_newer: bool) -> None:
        """Check what came, and keep it.

        Args:
            freight: from the other end.
            keys: cells of which files may come.
            is_newer: whether scores of networks and real images take the place of those here.

        Raises:
            Damaged: a file may not come, or is not what was sent; nothing was kept.
        """
        may_come = [_key(place) in keys or bool(BESIDE.fullmatch(place)) for place in freight.files]
        may_go = [_key(place) in keys for place in freight.gone]
        for place, may in zip((*freight.files, *freight.gone), may_come + may_go, strict=True):
            if not may:
                raise Damaged(f"{place!r} came from another machine, and may not.")
        for place, (sha256, content) in freight.files.items():
            if hashlib.sha256(content).hexdigest() != sha256:
                raise Damaged(f"{place} came from another machine with other bytes than were sent.")
        for place in freight.files:
            self._check_room(place, freight)
        for place in freight.gone:
            if (self.store.root / place).is_dir():
                raise Damaged(f"{place} is gone on another machine, and is a folder here.")
        values = {
            place: _read(place, content)
            for place, (_, content) in freight.files.items()
            if place.startswith(ADDED_TO)
        }
        for place in sorted(freight.files, key=lambda place: place.endswith(END)):
            if place in values:
                self._add(place, values[place], is_newer)
            else:
                self._keep(place, freight.files[place][1])
            stamp = self._stamp(place)
            if stamp:
                self._known[place] = stamp
        for place in freight.gone:
            (self.store.root / place).unlink(missing_ok=True)
            self._known.pop(place, None)

    def forget(self, cells: Iterable[str]) -> None:
        """Take it that the other end has nothing more of cells but what others need of them."""
        left = set(cells)
        for place in [place for place in self._known if _key(place) in left]:
            if place not in of_teacher(_key(place)):
                del self._known[place]

    def _keep(self, place: str, content: bytes) -> None:
        path = self.store.root / place
        if _key(place) or not path.exists():  # codes are what their name says
            with replacing(path) as file:
                file.write(content)

    def _check_room(self, place: str, freight: Freight) -> None:
        """Refuse a file where a folder is, or below a file.

        Raises:
            Damaged: it is one of these.
        """
        path = self.store.root / place
        above = [parent.as_posix() for parent in PurePosixPath(place).parents]
        is_below = any(up in freight.files or (self.store.root / up).is_file() for up in above)
        if is_below or path.is_dir():
            raise Damaged(f"{place} came from another machine, and is a file beside a folder.")

    def _add(self, place: str, value: Json, is_newer: bool) -> None:
        """Keep scores, or a provenance, beside those of other machines."""
        path = self.store.root / place
        known = read_json(path)
        write_json(path, known | value if is_newer else value | known)

    def _stamp(self, place: str) -> tuple[int, int] | None:
        try:
            found = (self.store.root / place).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_mtime_ns, found.st_size


def of_cell(store: Store, key: str) -> Iterator[str]:
    """Yield the place of each file of a cell, without locks and what is half written."""
    folder = store.folder(key)
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inner.parts):
            yield f"cells/{key}/{inner.as_posix()}"


def of_teacher(key: str) -> list[str]:
    """Return the places of what others need of a cell."""
    return [f"cells/{key}/{name}" for name in TAUGHT_BY]


def in_folder(store: Store, name: str) -> Iterator[str]:
    """Yield the place of each file in a folder of what is no cell's own."""
    for path in (store.root / name).glob("*"):
        if not path.name.startswith("."):
            yield f"{name}/{path.name}"


def _key(place: str) -> str:
    found = CELL.fullmatch(place)
    return found[1] if found else ""


def _read(place: str, content: bytes) -> Json:
    """Return scores, or a provenance.

    Raises:
        Damaged: it is no JSON object, or no provenance of that id.
    """
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{place} came from another machine, and is not JSON.") from error
    is_named = not place.startswith("provenance/") or identity(value) == PurePosixPath(place).stem
    if not isinstance(value, dict) or not is_named:
        raise Damaged(f"{place} came from another machine, and is not what its name says.")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
