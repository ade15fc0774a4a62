"""A web server in a thread that serves files well, or in one of the ways servers fail."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TAG = '"v1"'


@dataclass
class Served:
    """What lies at one path, and how it is served."""

    body: bytes
    break_after: list[int] = field(default_factory=list)  # bytes, per request, then none
    ranges: bool = True  # whether Range is obeyed
    tag: str = TAG  # ETag; "" for none
    status: int = 200
    shift: int = 0  # by how many bytes a partial answer starts too late


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; keeps (path, Range, status) of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.seen: list[tuple[str, str | None, int]] = []

    def handle_error(self, *arguments: Any) -> None:
        """Say nothing: a client that refuses a file hangs up."""

    def put(self, name: str, body: bytes, **how: Any) -> str:
        """Serve a file; return its address."""
        self.files[f"/{name}"] = Served(body, **how)
        return self.address(name)

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        served = self.server.files.get(self.path, Served(b"", status=404))
        asked, status, start = self.headers.get("Range"), served.status, 0
        if_range = self.headers.get("If-Range")
        if status == 200 and asked and served.ranges and if_range in (None, served.tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(served.body) else 416
        self.server.seen.append((self.path, asked, status))
        self.send_response(status)
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(served.body)}")
        if status not in (200, 206):
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start += served.shift if status == 206 else 0
        rest = served.body[start:]
        if status == 206:
            last = len(served.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(served.body)}")
        if served.tag:
            self.send_header("ETag", served.tag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        stop = served.break_after.pop(0) if served.break_after else len(rest)
        self.wfile.write(rest[:stop])
        self.close_connection = True


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
