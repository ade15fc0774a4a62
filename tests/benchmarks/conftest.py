"""Benchmarks use the same tiny helpers as the tests, and say which GPU they ran on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), *(str(p) for p in sorted(TESTS.iterdir()) if p.is_dir())]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add what times depend on beside the CPU: `distillbench gate` compares one machine's only.

    It compares the times of two versions of torch: a slower one is for it to find.
    """
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    machine_info["torch"] = str(torch.__version__)
