"""An archive is unpacked whole and inside its folder, or not at all.

A zip or tar from elsewhere may hold absolute paths, `..`, links, devices, and bombs: few bytes
that unpack to very many. Members are checked one by one; what is unpacked lies beside the folder
and takes its place only when the last member is there.
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Self

from bench.errors import FetchError
from bench.fetch.home import unwritable

MAX_MEMBERS = 300_000
MAX_BYTES = 64 << 30
MAX_RATIO = 50  # of bytes unpacked to bytes of the archive; of images it is 1 to 3
MAX_HEADER = 1 << 20  # bytes of one member's name and attributes; tarfile holds them in memory
CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    members: int = MAX_MEMBERS
    size: int = MAX_BYTES  # bytes, unpacked
    ratio: float = MAX_RATIO  # of bytes unpacked to bytes of the archive


def extract(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack a .zip or .tar.gz to a folder that does not exist yet.

    Where the archive holds a folder of the same name, as `facades.tar.gz` holds `facades/`, that
    folder is what is kept.

    Raises:
        FetchError: the archive is damaged, hostile or too large, or the disk is full; nothing is
            left behind.
    """
    limits = limits or Limits()
    bound = min(limits.size, int(limits.ratio * archive.stat().st_size))
    try:
        stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        with _damage_of(archive):
            members = _zip(archive) if archive.suffix == ".zip" else _tar(archive, stage)
            room = _Room(archive, stage, limits.members, bound)
            for name, content in members:
                room.put(name, content)
        inner = stage / folder.name
        try:
            (inner if inner.is_dir() else stage).replace(folder)
        except OSError as error:
            raise unwritable(folder, error) from error
        folder.chmod(0o755)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def _damage_of(archive: Path) -> Iterator[None]:
    """Say in one line what is wrong with an archive that cannot be read."""
    try:
        yield
    except (
        EOFError,
        NotImplementedError,  # a compression that is not built in
        RuntimeError,  # a password
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,  # gzip's; those of writing are already said
        ValueError,  # names that are no text, numbers that are none
        IndexError,  # a member without a name
        OverflowError,
    ) as error:
        raise FetchError(f"{archive}: is damaged or no archive: {error!r}.") from error


class _Room:
    """The folder that members are put into, and how much more it takes."""

    def __init__(self, archive: Path, stage: Path, members: int, size: int) -> None:
        self.archive, self.stage = archive, stage
        self.members, self.size = members, size

    def put(self, name: str, content: IO[bytes] | None) -> None:
        """Write one member: a file, or a folder where there is no content."""
        self.members -= 1
        if self.members < 0:
            raise FetchError(f"{self.archive}: refused: more members than it may have.")
        path = self.stage.joinpath(*_parts(self.archive, name))
        try:
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except FileExistsError as error:
            raise _hostile(self.archive, name, "stands in it twice") from error
        except OSError as error:
            raise unwritable(path, error) from error
        with file:
            while chunk := content.read(CHUNK):
                self.size -= len(chunk)
                if self.size < 0:
                    raise FetchError(
                        f"{self.archive}: refused: it unpacks to more bytes than images do."
                    )
                try:
                    file.write(chunk)
                except OSError as error:
                    raise unwritable(path, error) from error


def _parts(archive: Path, name: str) -> tuple[str, ...]:
    """Return the parts of a member's path.

    Raises:
        FetchError: it would lead out of the folder, on this system or another, or cannot be shown.
    """
    path = PureWindowsPath(name)  # takes both / and \ for separators, and knows drives
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        raise _hostile(archive, name, "leads out of its folder")
    if not name.isprintable():
        raise _hostile(archive, name, "holds control characters, or is no text")
    return path.parts


def _zip(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield name and content of each member of a zip file."""
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _hostile(archive, member.filename, "is a link or a device")
            if member.is_dir():
                yield member.filename, None
            else:
                with file.open(member) as content:
                    yield member.filename, content


def _tar(archive: Path, stage: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield name and content of each member of a gzipped tar file."""
    with (
        gzip.open(archive) as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as file,
    ):
        for member in file:
            if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
                raise _hostile(archive, member.name, "is a link or a device")
            _parts(archive, member.name)  # before the filter, which would only cut off a root
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 has it
                tarfile.data_filter(member, str(stage))
            yield member.name, None if member.isdir() else file.extractfile(member)
        # tarfile takes a broken header for the end, and leaves gzip's checksum unread
        while rest := stream.read(CHUNK):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("a member's header is broken")


class _Header(tarfile.TarInfo):
    """A member's header; long names and attributes, which are read whole, are bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read one header block."""
        found = super().frombuf(buf, encoding, errors)
        is_file = found.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if not is_file and found.size > MAX_HEADER:
            raise tarfile.ReadError(f"the header of {found.name} has {found.size:,} bytes")
        return found


def _hostile(archive: Path, name: str, why: str) -> FetchError:
    return FetchError(f"{archive}: refused: its member {name!r} {why}.")
