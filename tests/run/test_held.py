"""What a killed process leaves on disk is swept away, and nothing that a living one needs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.run import held

KILLED = "import os, sys; from pathlib import Path; from bench.run.held import hold\n"
KILLED += "kept = [hold(Path(path)) for path in sys.argv[1:]]; os._exit(9)"


def test_what_a_killed_process_held_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    names = ("dead", "living", "young")
    folders = [tmp_path / name for name in names]
    files = [tmp_path / f".seen-{name}" for name in names]
    for folder in folders:
        folder.mkdir()
        (folder / "checkpoint").touch()
    subprocess.run([sys.executable, "-c", KILLED, folders[0], files[0]], check=False)
    assert files[0].exists()
    kept = [held.hold(folders[1]), held.hold(files[1])]
    files[2].touch()
    for path in (*folders[:2], *files[:2]):
        os.utime(path, times=(time.time() - 2 * held.YOUNG_S,) * 2)
    held.sweep(tmp_path.iterdir())
    assert sorted(tmp_path.iterdir()) == sorted([*folders[1:], *files[1:]])
    for lock in kept:
        lock.release()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.utime(tmp_path / "mine", times=(0, 0))
    held.sweep([tmp_path / "link"])
    assert (tmp_path / "mine").is_dir()
