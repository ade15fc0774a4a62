"""A file is downloaded whole and checked, or it is not there.

Bytes go to `FILE.part` and get their final name only after the check. A transfer that broke goes
on where it stopped, in a later call too, if what lies there is known to be of the same file: by the
published sha256, or by the server's own word (ETag or Last-Modified, through If-Range).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO

import requests
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from urllib3.exceptions import HTTPError

from bench.errors import FetchError
from bench.fetch.home import home, is_offline, unwritable

TIMEOUT_S = 30.0  # without a byte
TRIES = 3  # of one address without any new byte
PAUSE_S = 0.5  # before the second try; doubled each time
CHUNK = 1 << 18  # bytes


class _Broken(Exception):  # noqa: N818 - a state, not an error
    """The transfer stopped; the same address may give the rest."""


class _Refused(Exception):  # noqa: N818 - a state, not an error
    """This address does not have the file."""


def download(urls: Sequence[str], path: Path, sha256: str = "", at_most: int | None = None) -> str:
    """Bring a file to `path`, unless it lies there; return its sha256.

    Two processes that want the same file wait for each other. Progress goes to stderr.

    Args:
        urls: http(s) addresses, tried in order; proxies are those of the environment.
        path: where the file goes.
        sha256: what it must be, or the beginning of it; "" where nothing was published.
        at_most: bytes; a larger file is refused.

    Raises:
        FetchError: no address gave the right file, the disk is full or cannot be written, or
            downloads are forbidden by `DISTILLBENCH_OFFLINE`. What is wrong is not kept.
    """
    with locked(path):
        if not path.exists():
            return _bring(urls, path, sha256, at_most)
        found = _digest(path)
        if not found.startswith(sha256):
            raise FetchError(
                f"{path}: its sha256 begins {found[:12]}, expected {sha256[:12]}; remove it and "
                "fetch it again."
            )
        return found


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a place under `$DISTILLBENCH_HOME` for this process; wait while another one does.

    Raises:
        FetchError: the folder cannot be written.
    """
    file = home() / "cache" / "locks" / f"{path.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            Console(stderr=True).print(f"waiting for another process to bring {path.name}")
            lock.acquire()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _bring(urls: Sequence[str], path: Path, sha256: str, at_most: int | None) -> str:
    """Ask each address until one gives the right file; return its sha256."""
    expected = f"sha256 begins {sha256[:12]}" if sha256 else "no sha256 was published"
    if is_offline():
        raise FetchError(
            f"{path}: missing, and DISTILLBENCH_OFFLINE is set. Put the file from "
            f"{' or '.join(urls)} there ({expected})."
        )
    part, faults = _Part(path), []
    for url in urls:
        Console(stderr=True, soft_wrap=True).print(f"fetching {url}", highlight=False)
        try:
            found = _ask(url, part, sha256, at_most)
        except _Refused as fault:
            faults.append(f"{url}: {fault}")
        else:
            part.rename(path)
            return found
    raise FetchError(
        f"{path}: could not be fetched. {'; '.join(faults)}. Try again later, or put the file "
        f"there by hand ({expected})."
    )


class _Part:
    """What was received of a file so far, and from where."""

    def __init__(self, path: Path) -> None:
        self.file = path.with_name(f"{path.name}.part")
        self.origin = path.with_name(f"{path.name}.part.from")

    @property
    def size(self) -> int:
        """Bytes received."""
        return self.file.stat().st_size if self.file.exists() else 0

    def version(self, url: str) -> str:
        """Return what the server called this version of the file; "" where it did not say."""
        if not self.origin.exists():
            return ""
        known, _, version = self.origin.read_text().partition("\n")
        return version if known == url else ""

    def discard(self) -> None:
        """Forget what was received."""
        self.file.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)

    def rename(self, path: Path) -> None:
        """Give the whole file its name."""
        self.file.replace(path)
        self.origin.unlink(missing_ok=True)


def _ask(url: str, part: _Part, sha256: str, at_most: int | None) -> str:
    """Receive a file from one address, in as many pieces as it takes; return its checked sha256.

    Raises:
        _Refused: this address does not give the right file.
        FetchError: the disk is full or cannot be written.
    """
    farthest, tries, pieces = 0, 0, 0
    while True:
        pieces += part.size > 0
        try:
            _receive(url, part, bool(sha256), at_most)
        except _Broken as fault:
            tries = 1 if part.size > farthest else tries + 1
            farthest = max(farthest, part.size)
            if tries == TRIES:
                raise _Refused(str(fault)) from fault
            time.sleep(PAUSE_S * 2 ** (tries - 1))
            continue
        found = _digest(part.file)
        if found.startswith(sha256):
            return found
        part.discard()
        if not pieces:
            raise _Refused(f"its sha256 begins {found[:12]}, expected {sha256[:12]}")
        pieces = 0  # they may have been of two files: once more, in one piece


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url: str, part: _Part, is_checked: bool, at_most: int | None) -> None:
    """Receive a file, or what is missing of it.

    Raises:
        _Broken: not all of it came.
        _Refused: the address has no such file, or a larger one than it may be.
    """
    version = part.version(url)
    start = part.size if version or is_checked else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if start and response.headers.get("Content-Range") == f"bytes */{start}":
                return  # all of it is there; only the check is missing
            start = _begin(response, part, start)
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() else None
            _check_room(part, start, total, at_most)
            with _open(part, url, response, start) as file, _bar(part, start, total) as advance:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    _put(file, chunk, part)
                    advance(len(chunk))
                    if at_most is not None and file.tell() > at_most:
                        raise _Refused(f"more than the {at_most:,} bytes it may have")
    except (requests.RequestException, HTTPError) as error:
        raise _said(error, part.size) from error
    except _Refused:
        part.discard()
        raise
    if total is not None and part.size != total:
        raise _Broken(f"the connection broke after {part.size:,} of {total:,} bytes")


def _begin(response: requests.Response, part: _Part, start: int) -> int:
    """Return the byte at which the answer starts: `start`, or 0 where the server sends it all."""
    status = response.status_code
    if status == HTTPStatus.PARTIAL_CONTENT:
        sent = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if sent is None or int(sent[1]) != start:
            part.discard()
            raise _Broken("the server sent another part of it than was asked for")
        return start
    if status == HTTPStatus.OK:
        return 0
    said = f"{status} {response.reason}"
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.discard()  # as long as the file, or longer, and yet not it
        raise _Broken(said)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Broken(said)
    raise _Refused(said)


def _check_room(part: _Part, start: int, total: int | None, at_most: int | None) -> None:
    """Refuse what is too large for its bound or for the disk, before the first byte."""
    if total is None:
        return
    if at_most is not None and total > at_most:
        raise _Refused(f"{total:,} bytes, more than the {at_most:,} it may have")
    free = shutil.disk_usage(part.file.parent).free
    if total - start > free:
        raise FetchError(
            f"{part.file.parent}: the disk is full: {total - start:,} bytes are needed and "
            f"{free:,} are free. Free some space, or set DISTILLBENCH_HOME to another disk."
        )


def _open(part: _Part, url: str, response: requests.Response, start: int) -> IO[bytes]:
    """Open what was received to go on at `start`, and note where it is from."""
    tag = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if tag[:2] in ("", "W/") else tag
    try:
        part.origin.write_text(f"{url}\n{version}")
        return part.file.open("ab" if start else "wb")
    except OSError as error:
        raise unwritable(part.file, error) from error


def _put(file: IO[bytes], chunk: bytes, part: _Part) -> None:
    """Write some bytes; errors of the disk are none of the network's."""
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise unwritable(part.file, error) from error


def _said(error: Exception, received: int) -> Exception:
    """Return what an error of the network means, in few words."""
    if isinstance(error, requests.exceptions.ProxyError):
        return _Broken("the proxy gives no connection")
    if isinstance(error, requests.exceptions.SSLError):
        return _Refused("its certificate is not trusted")
    if isinstance(error, requests.Timeout):
        return _Broken(f"no answer within {TIMEOUT_S:.0f} s")
    if isinstance(error, requests.ConnectionError):
        return _Broken("no connection")
    if isinstance(error, HTTPError):
        return _Broken(f"the connection broke after {received:,} bytes")
    return _Refused(str(error))


@contextlib.contextmanager
def _bar(part: _Part, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Draw progress in a terminal; yield what is called with each number of new bytes."""
    console = Console(stderr=True)
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(part.file.stem, completed=start, total=total)
        yield lambda count: progress.update(task, advance=count)
