"""A tracking server that asks who one is: credentials come from the environment, and stay there."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import write_suite

from bench.cli.main import main
from bench.errors import StoreError
from bench.track.experiment import Experiment, said

BASIC = "Basic " + base64.b64encode(b"ci:a-secret").decode()


class _Guarded(http.server.BaseHTTPRequestHandler):
    """Knows who may ask, and has no experiment."""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Authorization", "")
        code = {BASIC: 404, "Bearer a-token": 404, "Bearer of-a-reader": 403}.get(asked, 401)
        body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"} if code == 404 else {}
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode() if body else f"no: {asked}".encode())


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that asks for credentials; the environment holds none."""
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Guarded)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "given",
    [{"USERNAME": "ci", "PASSWORD": "a-secret"}, {"TOKEN": "a-token"}],
    ids=["basic", "token"],
)
def test_credentials_of_the_environment_are_sent(
    guarded: str, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with pytest.raises(StoreError, match="has no experiment"):  # it answered
        Experiment(guarded, "tiny")


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({}, "refuses the credentials (401): set MLFLOW_TRACKING_USERNAME and "),
        ({"USERNAME": "ci", "PASSWORD": "wrong-secret"}, "refuses the credentials (401): set "),
        ({"TOKEN": "of-a-reader"}, "takes the credentials, but they may not do this (403)"),
    ],
    ids=["none", "wrong", "reader"],
)
def test_a_refusal_is_one_line_without_the_secret(
    guarded: str, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], answer: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with pytest.raises(Exception, match=r"40[13]") as caught:
        Experiment(guarded, "tiny")
    line = said(caught.value, guarded)
    assert line.startswith(f"{guarded} {answer}")
    assert len(line.splitlines()) == 1
    assert not [value for value in ("wrong-secret", "of-a-reader") if value in line]


def test_a_secret_that_a_server_repeats_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-secret")
    line = said(RuntimeError("no user ci with a-secret"), "http://host")
    assert line == "RuntimeError: no user ci with ***"


def test_no_command_repeats_the_password_of_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    suite = str(write_suite(tmp_path, methods={"none": {}}, budget={"steps": 1, "batch": 2}))
    server = "http://ci:hunter2@127.0.0.1:9/"  # a port where nobody answers
    store = ["--store", str(tmp_path / "runs")]
    for command, *more in (
        ["run", "--device", "cpu", "--jobs", "1", "--mlflow", server],
        ["sync", "--mlflow", server],
        ["report", "--mlflow", server, "--out", str(tmp_path / "report")],
        ["report", "--from", f"mlflow:{server}"],
        ["report", "--from", f"ml:{server}"],
    ):
        done = CliRunner().invoke(main, [command, suite, *store, *more])
        assert "127.0.0.1:9" in done.stderr, done.output
        assert "hunter2" not in done.output
        if command == "run":
            hint = f"distillbench sync {suite} {' '.join(store)} --mlflow http://127.0.0.1:9"
            assert hint in done.stderr.replace("\n", "")
