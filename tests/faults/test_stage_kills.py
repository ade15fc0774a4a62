"""A run of style transfer is killed in each of its five stages, and ends with the same bits."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from deadly_style import PLACE
from harness import Runs
from test_other_tasks import drop_judges
from test_style import FEW, STYLE

from bench.train import resume

PLACES = {"bases": 0, "block1": 1, "block2": 4, "block3": 7, "block4": 9}  # steps taken till then
METHODS = {
    "none": {},
    "random": {"method": "deadly_style:Deadly"},
    "closed form": {"method": "deadly_style:Deadly", "start": "closed_form", "bases": "image"},
}


def style_runs(folder: Path, methods: dict[str, Any]) -> Runs:
    runs = Runs(folder, **STYLE | {"methods": methods, "metrics": ["ssim"]})
    (folder / "few_photos.py").write_text(FEW)
    drop_judges(runs.suite)
    return runs


@pytest.mark.faults
def test_kills_in_all_five_stages_change_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: Any
) -> None:
    """One run after the other, each of which goes on where the one before was killed."""
    whole = style_runs(tmp_path / "whole", METHODS)
    done = whole("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    killed = style_runs(tmp_path / "killed", METHODS)
    cells = killed.folder / "runs" / "cells"
    for place, steps in PLACES.items():
        monkeypatch.setenv(PLACE, place)
        process = killed.start("run", "--jobs", "1", "--mlflow", "none", "--checkpoint-every", "0")
        output, _ = process.communicate(timeout=600)
        assert process.returncode == -signal.SIGKILL, f"{place}: {output}"
        left = [resume.load(f, f.parent.name)[1].step for f in cells.glob("*/resume.safetensors")]
        assert left == ([steps] * len(METHODS) if steps else []), place
        count("kills within a stage of style transfer")
    monkeypatch.delenv(PLACE)
    done = killed("run", "--jobs", "1", "--mlflow", "none")
    assert done.returncode == 0, done.stderr
    assert killed.results() == whole.results()
    assert len(whole.results()) == 4
