"""What every test shares: its helpers are importable, one thread, no MLflow server."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.plugins import outside

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), *(str(p) for p in sorted(TESTS.iterdir()) if p.is_dir())]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("DISTILLBENCH_OFFLINE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DISTILLBENCH_STORE", raising=False)
    monkeypatch.delenv(outside.VARIABLE, raising=False)
    outside.look_in(None)


@pytest.fixture(autouse=True)
def _no_figure_stays() -> Iterator[None]:
    """Close what a test drew: Matplotlib warns of many open figures, in whatever test is next."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def vgg16_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like torchvision's VGG-16 with random weights, written once per process."""
    import vgg16_weights

    path = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    vgg16_weights.write(path)
    return path


@pytest.fixture
def vgg16(_quiet: None, vgg16_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let that file be the published one, for one test; return where it lies."""
    from bench.fetch import weights

    digest = hashlib.sha256(vgg16_file.read_bytes()).hexdigest()
    known = replace(weights.KNOWN["vgg16"], sha256=digest)
    monkeypatch.setitem(weights.KNOWN, "vgg16", known)
    known.path.parent.mkdir(parents=True, exist_ok=True)
    known.path.symlink_to(vgg16_file)
    return known.path
