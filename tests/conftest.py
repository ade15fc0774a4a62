"""What every test shares: this folder is importable, one thread, no MLflow server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("DISTILLBENCH_OFFLINE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DISTILLBENCH_STORE", raising=False)
