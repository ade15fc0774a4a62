"""Files appear whole or not at all, and one process at a time holds a cell."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO

import pytest
import torch
from safetensors import SafetensorError

from bench.errors import Busy, StoreError
from bench.store.atomic import make_folder, replacing
from bench.store.layout import Store, read_json, write_json
from bench.train import checkpoint


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_a_cell_goes_through_its_states(store: Store) -> None:
    assert str(store.state("k")) == "missing"
    store.write("k", "spec.json", {})
    assert str(store.state("k")) == "started"
    store.fail("k", "out of luck")
    assert str(store.state("k")) == "failed (out of luck)"
    store.write("k", "end.json", {"status": "diverged", "step": 7})
    assert str(store.state("k")) == "diverged (step 7)"


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"old": 1})
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StoreError, match=r"scores.json: cannot be written: No space left.*again"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def interrupted(file: IO[bytes]) -> None:
    file.write(b'{"half')
    raise KeyboardInterrupt


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        interrupted(file)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be written: (Not a directory|File exists)"):
        Store(tmp_path / "runs").write("k", "end.json", {})


def test_a_cell_can_be_held_before_it_has_a_folder(store: Store, tmp_path: Path) -> None:
    with store.lock("k", 1.0):
        assert store.folder("k").is_dir()
    (tmp_path / "a file").write_text("")
    with pytest.raises(StoreError, match=r"a file/cells/k: cannot be written"):
        make_folder(Store(tmp_path / "a file").folder("k"))


def test_a_file_of_tensors_that_cannot_be_written_is_said_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors wraps what the system said in an error of its own."""
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"x": torch.ones(2)}, {})

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(StoreError, match=r"x.safetensors: cannot be written: I/O error: No space"):
        checkpoint.save(path, {"x": torch.zeros(2)}, {})
    assert torch.equal(checkpoint.load(path)[0]["x"], torch.ones(2))


def test_a_damaged_file_is_named(store: Store) -> None:
    store.write("k", "end.json", {})
    (store.folder("k") / "end.json").write_text("{")
    with pytest.raises(StoreError, match=r"end.json: not JSON .* delete it"):
        store.state("k")
    (store.folder("k") / "checkpoint.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(StoreError, match=r"checkpoint.safetensors: cannot be read"):
        checkpoint.load(store.checkpoint("k"))


def test_tensors_come_back_bit_for_bit_with_their_notes(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(7), "c": torch.randn(2).bfloat16()}
    checkpoint.save(tmp_path / "x", tensors, {"step": "3"})
    found, notes = checkpoint.load(tmp_path / "x")
    assert notes == {"step": "3"}
    assert all(
        torch.equal(found[n], tensors[n]) and found[n].dtype == tensors[n].dtype for n in tensors
    )


def test_a_torn_line_of_the_loss_log_is_left_out_and_rewinding_mends_it(store: Store) -> None:
    store.write("k", "spec.json", {})
    record = {"seconds": 1.0, "time": 1.0, "losses": {"gan": math.nan}}
    for step in (10, 20, 30):
        store.log_losses("k", {"step": step, **record})
    log = store.folder("k") / "losses.jsonl"
    log.write_text(log.read_text() + '{"step": 4')
    assert [r["step"] for r in store.losses("k")] == [10, 20, 30]
    store.rewind_losses("k", 20)
    store.log_losses("k", {"step": 30, **record})
    assert [r["step"] for r in store.losses("k")] == [10, 20, 30]


def test_the_last_loss_is_the_last_whole_record(store: Store) -> None:
    assert store.last_loss("k") == {}
    store.write("k", "spec.json", {})
    for step in range(1, 2000):
        store.log_losses("k", {"step": step, "seconds": 1.0, "time": 2.0, "losses": {"l1": 0.5}})
    with (store.folder("k") / "losses.jsonl").open("ab") as log:
        log.write(b'{"step": 2000, "sec')
    assert store.last_loss("k") == store.losses("k")[-1]
    assert store.last_loss("k")["step"] == 1999


@pytest.mark.parametrize(
    "line",
    [
        b"\xff", b"5", b"[]", b"[" * 5000, b'{"step": 5}', b'{"step": "5", "losses": {}}',
        b'{"step": 0, "seconds": 1, "time": 1, "losses": {}}',
        b'{"step": 1, "seconds": 1, "time": 1e999, "losses": {}}',
        b'{"step": 1, "seconds": 1, "time": 1, "losses": {"gan": null}}',
    ],
)  # fmt: skip
def test_a_line_of_the_loss_log_that_is_no_record_is_left_out(store: Store, line: bytes) -> None:
    record = {"step": 10, "seconds": 1.0, "time": 1.0, "losses": {"gan": 0.5}}
    store.write("k", "spec.json", {})
    store.log_losses("k", record)
    with (store.folder("k") / "losses.jsonl").open("ab") as log:
        log.write(line + b"\n")
    store.log_losses("k", record | {"step": 20})
    assert [r["step"] for r in store.losses("k")] == [10, 20]


HOLD = """
    import sys, time
    from pathlib import Path
    from bench.store.layout import Store
    with Store(Path(sys.argv[1])).lock("k", 1):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_cell_is_held_by_one_process_and_freed_by_its_death(store: Store) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy), store.lock("k", timeout_s=0.1):
            pass
        holder.kill()
        holder.wait()
    with store.lock("k", timeout_s=5):
        pass


def test_provenance_is_kept_once(store: Store) -> None:
    one, same = store.add_provenance({"commit": "a"}), store.add_provenance({"commit": "a"})
    assert one == same
    assert store.provenance(one) == {"commit": "a"}
    assert len(list((store.root / "provenance").iterdir())) == 1


def test_a_full_disk_is_a_clear_error_in_every_log(store: Store, tmp_path: Path) -> None:
    """/dev/full is a disk without a free byte."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    folder = store.folder("k")
    folder.mkdir(parents=True)
    for name, write in (
        ("log", lambda: store.log("k", "text")),
        ("losses.jsonl", lambda: store.log_losses("k", {"step": 1})),
    ):
        (folder / name).symlink_to("/dev/full")
        with pytest.raises(StoreError, match="Free some space"):
            write()


def test_an_end_that_says_nothing_is_an_error_that_names_the_file(store: Store) -> None:
    store.write("k", "end.json", {"a": 1})
    with pytest.raises(StoreError, match=r"end\.json: does not say how"):
        store.state("k")
