"""A server of our own, for everything that is fetched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server import Server, serving

import bench.fetch.download
from bench.plugins import registry


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(bench.fetch.download, "PAUSE_S", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as found:
        yield found
    registry._declaration.cache_clear()  # it may have read what `publish` changed
