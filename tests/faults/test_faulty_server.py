"""A tracking server that fails in all the ways in which servers and the wires to them do."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from campaign import SEED, Undisturbed, copied, one_line_each, runs_of, same_copies
from test_tracking import port, server

pytestmark = pytest.mark.faults
__all__ = ["port"]  # a fixture
FAULTS = {  # of each request
    "no connection": 0.05,  # it never arrives
    "answer lost": 0.08,  # it is carried out, and nobody hears of it
    "answer cut": 0.03,
    "error 500": 0.06,
    "no JSON": 0.03,
}


class Wire(ThreadingHTTPServer):
    """Hands requests on to a server, and answers back; loses and spoils some of them."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port, self.chance, self.faults = port, random.Random(f"{SEED} wire"), Counter[str]()
        self.is_faulty = True


class Handler(BaseHTTPRequestHandler):
    server: Wire

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = ""
        if self.server.is_faulty:
            names = [*FAULTS, ""]
            rest = 1 - sum(FAULTS.values())
            fault = self.server.chance.choices(names, [*FAULTS.values(), rest])[0]
            self.server.faults[fault] += 1
        if fault == "no connection":
            self.connection.close()
            return
        if fault == "error 500":
            self._answer(500, b"<html>" + b"x" * 5000 + b"</html>")
            return
        onward = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
        headers = {n: v for n, v in self.headers.items() if n not in ("Host", "Accept-Encoding")}
        onward.request(self.command, self.path, body, headers)
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        if fault == "answer lost":
            self.connection.close()
            return
        if fault == "no JSON":
            content = b"no JSON"
        self._answer(answer.status, content, cut=fault == "answer cut")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, status: int, content: bytes, *, cut: bool = False) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            if cut:
                self.connection.close()


@contextlib.contextmanager
def wire(port: int) -> Iterator[Wire]:
    """Run a wire to a server's port."""
    with Wire(port) as between:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        yield between
        between.shutdown()


def test_a_server_that_fails_in_every_way_costs_no_bit_and_is_caught_up_with(
    tmp_path: Path,
    whole: Callable[[str], Undisturbed],
    count: Callable[..., None],
    port: int,
) -> None:
    undisturbed = whole("paired")
    runs = runs_of("paired", tmp_path / "suite")
    with server(tmp_path / "server", port), wire(port) as between:
        uri = f"http://127.0.0.1:{between.server_address[1]}"
        done = runs("run", "--jobs", "1", "--mlflow", uri)
        one_line_each(done.stderr)
        assert done.returncode == 0, done.stderr
        assert len(max(done.stderr.splitlines(), key=len)) < 800
        assert runs.results() == undisturbed.results
        for _ in range(6):
            said = runs("sync", "--mlflow", uri)
            one_line_each(said.stderr)
            assert said.returncode in (0, 2)
            assert len(said.stderr) < 800
        for fault, number in between.faults.items():
            count(f"requests to MLflow: {fault or 'passed on'}", number)
        between.is_faulty = False
        said = runs("sync", "--mlflow", uri)
        assert said.returncode == 0, said.stderr
        same_copies(copied(uri), undisturbed.copy)
