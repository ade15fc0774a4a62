"""Downloads that break, lie and resume: what is wrong never gets the file's name."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from server import Server

import bench.fetch.download
from bench.errors import FetchError, WeightsError
from bench.fetch import weights
from bench.fetch.download import download
from bench.fetch.home import remembered, sha256_of

BODY = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA = hashlib.sha256(BODY).hexdigest()
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file.bin"


def left(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def fault(urls: list[str], path: Path, **how: Any) -> str:
    with pytest.raises(FetchError) as caught:
        download(urls, path, **how)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith((str(path), str(path.parent)))
    return text


@pytest.mark.parametrize("sha256", ["", SHA[:8], SHA])
def test_a_file_is_brought_once(server: Server, path: Path, sha256: str) -> None:
    url = server.put("f", BODY)
    assert download([url], path, sha256) == download([url], path, sha256) == SHA
    assert path.read_bytes() == BODY
    assert left(path) == ["file.bin"]
    assert len(server.seen) == 1


@pytest.mark.parametrize("sha256", ["", SHA])
def test_a_broken_transfer_goes_on_where_it_stopped(
    server: Server, path: Path, sha256: str
) -> None:
    url = server.put("f", BODY, break_after=[300_000, 200_000])
    assert download([url], path, sha256) == SHA
    assert [(asked, status) for _, asked, status in server.seen] == [
        (None, 200),
        ("bytes=300000-", 206),
        ("bytes=500000-", 206),
    ]
    assert left(path) == ["file.bin"]


def test_a_later_call_goes_on_too(server: Server, path: Path) -> None:
    url = server.put("f", BODY, break_after=[300_000, 0, 0, 0])
    said = fault([url], path)
    assert "the connection broke after 300,000 bytes" in said
    assert left(path) == ["file.bin.part", "file.bin.part.from"]
    server.files["/f"].break_after.clear()
    server.seen.clear()
    assert download([url], path) == SHA
    assert server.seen == [("/f", "bytes=300000-", 206)]


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old_one(
    server: Server, path: Path
) -> None:
    """No sha256 is known, so only the server's word keeps the halves apart."""
    url = server.put("f", BODY, break_after=[300_000, 0, 0, 0])
    fault([url], path)
    other = BODY[::-1]
    server.put("f", other, tag='"v2"')
    assert download([url], path) == hashlib.sha256(other).hexdigest()
    assert path.read_bytes() == other


def test_without_hash_and_version_nothing_is_resumed(server: Server, path: Path) -> None:
    url = server.put("f", BODY, break_after=[300_000], tag="")
    assert download([url], path) == SHA
    assert [asked for _, asked, _ in server.seen] == [None, None]


def test_a_server_that_ignores_range_sends_it_all_again(server: Server, path: Path) -> None:
    url = server.put("f", BODY, break_after=[300_000], ranges=False)
    assert download([url], path, SHA) == SHA
    assert [(asked, status) for _, asked, status in server.seen] == [
        (None, 200),
        ("bytes=300000-", 200),
    ]
    assert path.read_bytes() == BODY


def test_a_server_that_ignores_range_and_always_breaks_is_given_up(
    server: Server, path: Path
) -> None:
    url = server.put("f", BODY, break_after=[300_000] * 50, ranges=False)
    assert "the connection broke" in fault([url], path, sha256=SHA)
    assert len(server.seen) == bench.fetch.download.TRIES


def test_another_part_than_the_one_asked_for_is_thrown_away(server: Server, path: Path) -> None:
    url = server.put("f", BODY, break_after=[300_000], shift=7)
    assert download([url], path) == SHA  # without a hash that would find it out
    assert path.read_bytes() == BODY


def test_what_was_received_whole_but_not_checked_is_not_asked_for_again(
    server: Server, path: Path
) -> None:
    """As when the process is killed between the last byte and the new name."""
    url = server.put("f", BODY)
    path.parent.mkdir()
    path.with_name("file.bin.part").write_bytes(BODY)
    assert download([url], path, SHA) == SHA
    assert [status for *_, status in server.seen] == [416]


def test_a_damaged_beginning_is_thrown_away_and_the_whole_is_brought(
    server: Server, path: Path
) -> None:
    url = server.put("f", BODY)
    path.parent.mkdir()
    path.with_name("file.bin.part").write_bytes(b"x" * 300_000)
    assert download([url], path, SHA) == SHA
    assert [asked for _, asked, _ in server.seen] == ["bytes=300000-", None]


@pytest.mark.parametrize("sha256", [SHA, SHA[:8]])
def test_wrong_bytes_never_get_the_name(server: Server, path: Path, sha256: str) -> None:
    wrong = b"<html>Please log in</html>"
    said = fault([server.put("f", wrong)], path, sha256=sha256)
    found = hashlib.sha256(wrong).hexdigest()[:12]
    assert f"its sha256 begins {found}, expected {sha256[:12]}" in said
    assert left(path) == []


def test_the_next_address_is_tried(server: Server, path: Path) -> None:
    urls = [server.address("nothing"), server.put("wrong", b"wrong"), server.put("f", BODY)]
    assert download(urls, path, SHA) == SHA
    assert [name for name, *_ in server.seen] == ["/nothing", "/wrong", "/f"]


def test_the_second_address_goes_on_with_what_the_first_gave(server: Server, path: Path) -> None:
    urls = [server.put("a", BODY, break_after=[300_000, 0, 0, 0]), server.put("b", BODY)]
    assert download(urls, path, SHA) == SHA
    assert server.seen[-1] == ("/b", "bytes=300000-", 206)


def test_every_fault_is_said_with_its_address(server: Server, path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listening
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/f"
        gone, busy = server.put("gone", b"", status=410), server.put("busy", b"", status=503)
        said = fault([closed, gone, busy, "nonsense"], path, sha256=SHA)
    assert f"{closed}: no connection; {gone}: 410 Gone; {busy}: 503 Service Unavailable;" in said
    assert f"put the file there by hand (sha256 begins {SHA[:12]})" in said
    assert [name for name, *_ in server.seen].count("/busy") == bench.fetch.download.TRIES
    assert left(path) == []


@pytest.mark.parametrize("length", [True, False])
def test_a_file_larger_than_it_may_be_is_refused(
    server: Server, path: Path, length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not length:  # a server that does not say how long it is
        begin = bench.fetch.download._begin

        def forget(response: Any, *more: Any) -> int:
            del response.headers["Content-Length"]
            return begin(response, *more)

        monkeypatch.setattr(bench.fetch.download, "_begin", forget)
    monkeypatch.setattr(bench.fetch.download, "CHUNK", 10_000)
    said = fault([server.put("f", BODY)], path, at_most=100_000)
    assert "more than the 100,000" in said
    assert left(path) == []


def test_a_full_disk_is_one_line(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("f", BODY)
    usage = shutil.disk_usage(path.parent.parent)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        said = fault([url], path, sha256=SHA)
    assert "the disk is full: 1,024,000 bytes are needed and 1,000 are free" in said

    def full(file: Any, chunk: bytes, part: Any) -> None:
        class Full:
            def write(self, _: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        put(Full(), chunk, part)

    put = bench.fetch.download._put
    monkeypatch.setattr(bench.fetch.download, "_put", full)
    assert "cannot be written: No space left on device" in fault([url], path, sha256=SHA)
    assert not path.exists()


def test_offline_is_an_error_that_says_what_to_put_where(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_OFFLINE", "1")
    url = server.put("f", BODY)
    said = fault([url], path, sha256=SHA)
    assert f"Put the file from {url} there (sha256 begins {SHA[:12]})" in said
    assert server.seen == []
    path.write_bytes(BODY)
    assert download([url], path, SHA) == SHA


def test_a_wrong_file_that_lies_there_is_named_and_kept(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"mine")
    assert "remove it and fetch it again" in fault([server.put("f", BODY)], path, sha256=SHA)
    assert path.read_bytes() == b"mine"
    assert server.seen == []


def test_two_threads_bring_a_file_once(server: Server, path: Path) -> None:
    url = server.put("f", BODY)
    threads = [threading.Thread(target=download, args=([url], path, SHA)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.seen) == 1


def test_two_processes_bring_a_file_once(server: Server, path: Path) -> None:
    url = server.put("f", BODY)
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from bench.fetch.download import download
        print(download([{url!r}], Path({str(path)!r}), {SHA!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in started] == [f"{SHA}\n"] * 2
    assert len(server.seen) == 1


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> weights.Weights:
    found = weights.Weights("net-x.pth", ("http://nowhere.invalid/net",), SHA[:8], "MIT", "us")
    monkeypatch.setitem(weights.KNOWN, "net", found)
    return found


def test_published_weights_are_brought_checked_and_hashed_once(
    server: Server, known: weights.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.put("net", BODY)
    monkeypatch.setitem(
        weights.KNOWN, "net", weights.Weights("net-x.pth", (url,), SHA[:8], "MIT", "us")
    )
    with pytest.raises(WeightsError, match=r"net-x.pth: missing. Put .*sha256 begins .*fetch net"):
        weights.find("net")
    assert server.seen == []
    assert weights.fetch("net") == weights.find("net") == weights.fetch("net")
    assert len(server.seen) == 1
    assert weights.look("net") == ("here", SHA)
    weights.find("net").write_bytes(b"other")
    with pytest.raises(WeightsError, match="the published one"):
        weights.fetch("net")


def test_a_missing_file_offline_says_address_hash_and_place(
    known: weights.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_OFFLINE", "1")
    with pytest.raises(FetchError, match=rf"{known.path}.* from {known.urls[0]} .*{SHA[:8]}"):
        weights.fetch("net")
    with pytest.raises(WeightsError, match=rf"{known.path}: missing. Put .*{SHA[:8]}, licence MIT"):
        weights.find("net")


def test_weights_without_a_published_hash_are_trusted_on_first_use() -> None:
    name = "drn_d_105_cityscapes"
    with pytest.raises(WeightsError, match=r"drn_d_105_cityscapes.pth: missing. No address"):
        weights.fetch(name)
    path = weights.KNOWN[name].path
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert weights.look(name) == ("here", SHA)
    assert not path.with_name(f"{path.name}.sha256").exists()  # looking is no use
    assert weights.find(name) == path
    assert path.with_name(f"{path.name}.sha256").read_text() == f"{SHA}  {path.name}\n"
    path.write_bytes(b"other")
    assert weights.look(name)[0] == "wrong"
    with pytest.raises(WeightsError, match=f"that of its first use {SHA[:12]}; bring"):
        weights.find(name)


def test_unknown_weights_name_the_closest() -> None:
    with pytest.raises(WeightsError, match=r"unknown weights 'vgg18'. Did you mean 'vgg1[69]'"):
        weights.find("vgg18")


@pytest.mark.parametrize("name", weights.KNOWN)
def test_what_can_be_fetched_has_a_hash_which_a_file_name_ends_in_or_is_whole(name: str) -> None:
    known = weights.KNOWN[name]
    assert known.licence
    assert known.source
    if known.urls:
        assert len(known.sha256) == 64 or known.file.endswith(f"-{known.sha256}.pth")
        assert len(known.sha256) in (8, 64)
        assert all(url.endswith(f"/{known.file}") for url in known.urls)


def test_a_settled_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    path, calls = tmp_path / "f", []

    def compute() -> str:
        calls.append(1)
        return str(len(calls))

    path.write_bytes(b"one")
    assert [remembered("x", [path], compute) for _ in range(2)] == ["1", "2"]  # too young
    os.utime(path, (1000, 1000))
    assert [remembered("x", [path], compute) for _ in range(2)] == ["3", "3"]
    assert remembered("y", [path], compute) == "4"
    os.utime(path, (1001, 1001))
    assert remembered("x", [path], compute) == "5"
    path.write_bytes(b"longer")
    os.utime(path, (1001, 1001))
    assert remembered("x", [path], compute) == "6"
    assert sha256_of(path) == hashlib.sha256(b"longer").hexdigest()
