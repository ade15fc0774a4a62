"""`distillbench` in processes of its own, on a suite in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiny import write_suite

from bench.store.layout import Store

TESTS = Path(__file__).parent
LONG = {"budget": {"steps": 150, "batch": 1}, "teacher": {"width": 4, "budget": {"steps": 60}}}


class Runs:
    """A folder with a suite, run by `distillbench` in processes of their own."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.suite = folder, write_suite(folder, **changes)

    def command(self, *arguments: str) -> list[str]:
        verb, *rest = arguments
        return [
            sys.executable,
            "-m",
            "bench",
            verb,
            str(self.suite),
            "--store",
            str(self.folder / "runs"),
            *rest,
        ]

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(**environment),
            timeout=3000,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
            start_new_session=True,
        )

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS, *TESTS.glob("*/")))),
            **more,
        }

    def results(self) -> dict[str, tuple[bytes, Any, Any]]:
        """Return key -> weights, scores, losses of every cell that is done."""
        found = {}
        for path in sorted((self.folder / "runs" / "cells").glob("*/checkpoint.safetensors")):
            scores = json.loads((path.parent / "scores.json").read_text())
            values = {s["metric"]: s["values"] for s in scores.values()}
            records = Store(self.folder / "runs").losses(path.parent.name)
            losses = [record["losses"] for record in records]
            found[path.parent.name] = (path.read_bytes(), values, losses)
        return found

    def progress(self) -> int:
        """Return the number of loss records written so far."""
        logs = (self.folder / "runs" / "cells").glob("*/losses.jsonl")
        return sum(len(log.read_text().splitlines()) for log in logs)
