"""Hostile, damaged and huge archives: nothing is written outside, and nothing is left behind."""

from __future__ import annotations

import errno
import gzip
import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench.fetch.archive
from bench.errors import FetchError
from bench.fetch.archive import Limits, extract

CONTENT = b"an image, as it were; " * 9


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, **how: Any) -> Path:
    with tarfile.open(path, "w:gz", **how) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                file.addfile(header, io.BytesIO(member[1]))
    return path


def special(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


MAKERS: dict[str, Callable[..., Path]] = {"set.zip": zipped, "set.tar.gz": tarred}


@pytest.fixture(params=[True, False], ids=["filter", "no filter"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that may be written to; with and without Python's own filter."""
    if not request.param:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    found = tmp_path / "deep" / "data"
    found.mkdir(parents=True)
    return found


def everything(place: Path) -> set[str]:
    """Return all that lies in the place and around it."""
    root = place.parent.parent
    return {p.relative_to(root).as_posix() for p in root.rglob("*")}


def refused(archive: Path, limits: Limits | None = None) -> str:
    before = everything(archive.parent)
    with pytest.raises(FetchError) as caught:
        extract(archive, archive.parent / "set", limits)
    text = str(caught.value)
    assert everything(archive.parent) == before
    assert text.startswith(str(archive))
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("top", ["", "set/"])
def test_members_arrive_whole_and_the_top_folder_is_taken_off(
    place: Path, name: str, top: str
) -> None:
    members = {f"{top}train/1.jpg": CONTENT, f"{top}test/a b.jpg": b"", f"{top}x/y/z.png": b"z"}
    archive = MAKERS[name](place / name, *members.items())
    extract(archive, place / "set")
    found = {p.relative_to(place / "set").as_posix(): p for p in (place / "set").rglob("*.*")}
    assert {top + name: path.read_bytes() for name, path in found.items()} == members
    assert {p.name for p in place.iterdir()} == {"set", name}
    assert (place / "set").stat().st_mode & 0o777 == 0o755


def test_what_stands_beside_the_top_folder_is_left_out(place: Path) -> None:
    archive = zipped(place / "set.zip", ("set/1.png", b"1"), ("__MACOSX/set/._1.png", b"x"))
    extract(archive, place / "set")
    assert [p.name for p in (place / "set").iterdir()] == ["1.png"]


HOSTILE = ["/tmp/evil.png", "../evil.png", "set/../../evil.png", "..\\evil.png", "C:\\evil.png", "C:evil.png", "\\\\host\\evil.png"]  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("member", HOSTILE)
def test_a_path_that_leads_out_is_refused(place: Path, name: str, member: str) -> None:
    archive = MAKERS[name](place / name, ("set/fine.png", CONTENT), (member, b"evil"))
    assert "leads out of its folder" in refused(archive)
    assert not Path("/tmp/evil.png").exists()


@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.SYMTYPE, "set/link", "/etc/passwd"),
        special(tarfile.SYMTYPE, "set/link", "train"),
        special(tarfile.LNKTYPE, "set/link", "set/fine.png"),
        special(tarfile.CHRTYPE, "set/null"),
        special(tarfile.BLKTYPE, "set/disk"),
        special(tarfile.FIFOTYPE, "set/pipe"),
        special(tarfile.GNUTYPE_SPARSE, "set/sparse"),
        special(b"?", "set/unheard-of"),
    ],
    ids=lambda member: repr(member.type),
)
def test_links_and_devices_in_a_tar_are_refused(place: Path, member: tarfile.TarInfo) -> None:
    archive = tarred(place / "set.tar.gz", ("set/fine.png", CONTENT), member)
    assert "is a link or a device" in refused(archive)


def test_a_link_in_a_zip_is_refused(place: Path) -> None:
    with zipfile.ZipFile(place / "set.zip", "w") as file:
        member = zipfile.ZipInfo("set/link")
        member.external_attr = 0o120777 << 16
        file.writestr(member, "/etc/passwd")
    assert "'set/link' is a link or a device" in refused(place / "set.zip")


@pytest.mark.parametrize("name", MAKERS)
def test_a_bomb_is_refused_before_it_fills_the_disk(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    opened = Path.open

    def counting(self: Path, mode: str = "r", *more: Any) -> Any:
        if mode == "xb":
            written.append(self)
        return opened(self, mode, *more)

    monkeypatch.setattr(Path, "open", counting)
    bombs = [(f"set/{number}.png", bytes(30_000_000)) for number in range(3)]
    archive = MAKERS[name](place / name, *bombs)
    assert archive.stat().st_size < 100_000
    assert "it unpacks to more bytes than images do" in refused(archive)
    assert len(written) == 1


def test_a_zip_that_lies_about_its_sizes_is_refused(place: Path) -> None:
    archive = zipped(place / "set.zip", ("set/1.png", bytes(3_000_000)))
    true, false = struct.pack("<L", 3_000_000), struct.pack("<L", 10)
    archive.write_bytes(archive.read_bytes().replace(true, false))
    assert "set.zip: " in refused(archive, Limits(size=1000))


@pytest.mark.parametrize("name", MAKERS)
def test_size_and_number_are_bounded(place: Path, name: str) -> None:
    archive = MAKERS[name](place / name, *((f"set/{n}.png", CONTENT) for n in range(5)))
    assert "more bytes" in refused(archive, Limits(size=5 * len(CONTENT) - 1))
    assert "more members" in refused(archive, Limits(members=4))
    extract(archive, place / "set", Limits(members=5, size=5 * len(CONTENT)))


def test_a_header_as_large_as_a_film_is_not_read_into_memory(place: Path) -> None:
    long = {"comment": "x" * 2_000_000}
    archive = tarred(
        place / "set.tar.gz", ("set/1.png", CONTENT), format=tarfile.PAX_FORMAT, pax_headers=long
    )
    assert "the header of" in refused(archive)


@pytest.mark.parametrize("name", MAKERS)
def test_one_name_twice_is_refused(place: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns whoever writes such a thing
        archive = MAKERS[name](place / name, ("set/1.png", b"one"), ("set/1.png", b"two"))
    assert "stands in it twice" in refused(archive)


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_archive_is_refused(place: Path, name: str) -> None:
    noise = bytes((7 * n * n + n // 3) % 256 for n in range(60_000))
    archive = MAKERS[name](place / name, ("set/1.png", noise), ("set/2.png", noise))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or no archive" in refused(archive)
    middle = len(whole) // 3
    archive.write_bytes(whole[:middle] + b"\0" * 40 + whole[middle + 40 :])
    assert "is damaged or no archive" in refused(archive)
    archive.write_bytes(b"<html>Please log in</html>")
    assert "is damaged or no archive" in refused(archive)
    archive.write_bytes(gzip.compress(b"no tar at all") if name == "set.tar.gz" else b"")
    assert "is damaged or no archive" in refused(archive)


def test_a_broken_header_is_not_taken_for_the_end(place: Path) -> None:
    archive = tarred(place / "set.tar.gz", *((f"set/{n}.png", CONTENT) for n in range(3)))
    data = bytearray(gzip.decompress(archive.read_bytes()))
    data[data.index(b"set/1.png")] ^= 1
    archive.write_bytes(gzip.compress(data))
    assert "a member's header is broken" in refused(archive)


def test_a_zip_with_a_password_is_refused(place: Path) -> None:
    archive = zipped(place / "set.zip", ("set/1.png", CONTENT))
    data = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flags] |= 1
    archive.write_bytes(data)
    assert "password" in refused(archive)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tarred(place / "set.tar.gz", ("set/1.png", CONTENT))
    opened = Path.open

    def full(self: Path, mode: str = "r", *more: Any) -> Any:
        if mode == "xb":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(FetchError, match=r"1.png: cannot be written: No space left on device"):
        extract(archive, place / "set")
    assert [p.name for p in place.iterdir()] == ["set.tar.gz"]


def test_a_folder_that_is_there_already_is_not_touched(place: Path) -> None:
    archive = zipped(place / "set.zip", ("1.png", b"new"))
    (place / "set").mkdir()
    (place / "set" / "mine.png").write_bytes(b"mine")
    with pytest.raises(FetchError, match="cannot be written"):
        extract(archive, place / "set")
    assert sorted(p.name for p in place.rglob("*")) == ["mine.png", "set", "set.zip"]


def test_limits_let_the_published_archives_pass() -> None:
    """The largest, edges2handbags, has about 140,000 images and 9 GB."""
    assert bench.fetch.archive.MAX_MEMBERS > 150_000
    assert bench.fetch.archive.MAX_BYTES > 20 << 30
