"""Which GPUs a run uses, down to the environment each worker gets, on a machine without any."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny import write_suite

from bench.cli.main import main
from bench.errors import DistillbenchError, SuiteError
from bench.plugins import outside
from bench.plugins.source import ROOT
from bench.run import executors, gpus
from bench.run.executors import Executor, Processes
from bench.run.gpus import VISIBLE, Gpu
from bench.run.job import Emit, Job
from bench.run.machine import Machine
from bench.run.walk import Outcome

TORCH = '''
"""Four GPUs, of which a process sees those that CUDA would show it."""
import os

NAMES = {"GPU-aa": "A100", "GPU-bb": "A100", "GPU-cc": "A100", "GPU-dd": "L4"}
NAMES |= {"MIG-1": "A100 MIG 1g", "MIG-2": "A100 MIG 3g"}


class cuda:
    def is_available():
        return bool(cuda._names())

    def device_count():
        return len(cuda._names())

    def get_device_name(index):
        return cuda._names()[index]

    def _names():
        whole = [name for name in NAMES if name.startswith("GPU-")]
        found = []
        for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "0,1,2,3").split(","):
            entry = whole[int(entry)] if entry.isdigit() and int(entry) < len(whole) else entry
            if entry not in NAMES:
                break
            found.append(NAMES[entry])
        return found[:1] if found and "MIG" in found[0] else found
'''


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have a driver, and a torch that sees four GPUs."""
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(gpus, "driver", lambda: "cuda")


def entries(option: str) -> list[str]:
    return [gpu.entry for gpu in gpus.choose(option)]


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("variable", "option", "found"),
    [
        (None, "cuda", ["0", "1", "2", "3"]),
        (None, "auto", ["0", "1", "2", "3"]),
        (None, "cuda:3,1", ["3", "1"]),
        (None, "cpu", []),
        ("2,3", "cuda", ["2", "3"]),
        ("3,1", "cuda:1", ["1"]),  # counted within those that are visible
        ("1, 7, 2", "cuda", ["1"]),  # CUDA ends the list at what it does not know
        ("GPU-bb,GPU-dd", "cuda:1", ["GPU-dd"]),
        ("MIG-1,MIG-2", "cuda", ["MIG-1", "MIG-2"]),  # though CUDA shows one of these at a time
        ("", "auto", []),
        ("-1", "auto", []),
    ],
)
def test_an_option_names_visible_gpus(
    variable: str | None, option: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv(VISIBLE, variable)
    assert entries(option) == found


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("variable", "option", "said"),
    [
        ("2,3", "cuda:7", "--device cuda:7: this machine shows 2 GPUs (0: A100, 1: L4)."),
        ("2", "cuda:1", "--device cuda:1: this machine shows 1 GPU (0: A100)."),
        (
            "0,1",
            "cuda:1,1",
            "--device cuda:1,1: a GPU is named twice; --jobs puts several workers on each.",
        ),
        ("-1", "cuda", f"--device cuda: {VISIBLE}=-1: torch sees no CUDA device."),
        ("", "cuda:0", f"--device cuda:0: {VISIBLE} is empty, which hides every GPU."),
    ],
)
def test_what_is_not_there_is_one_line(
    variable: str, option: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, variable)
    with pytest.raises(SuiteError) as caught:
        gpus.choose(option)
    assert str(caught.value) == said


def test_a_machine_without_a_driver_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "driver", lambda: "cpu")
    monkeypatch.setattr(gpus, "visible", lambda: pytest.fail("asked"))
    monkeypatch.delenv(VISIBLE, raising=False)
    assert gpus.choose("auto") == ()
    with pytest.raises(SuiteError, match="no driver"):
        gpus.choose("cuda")


@pytest.mark.usefixtures("four")
def test_a_torch_that_cannot_say_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so: no such file')")
    with pytest.raises(DistillbenchError, match=r"which GPUs there are: ImportError: libcudart"):
        gpus.choose("cuda")


@pytest.mark.parametrize("option", ["gpu", "cuda:", "cuda:-1", "cuda:1,", "cuda:x", "cuda:1 ,2"])
def test_an_option_that_means_nothing_is_refused(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", str(write_suite(tmp_path)), "--device", option])
    assert done.exit_code == 2
    assert "expected auto, cpu, cuda, or GPUs as in cuda:1,3" in done.output


def test_who_hands_out_jobs_starts_no_cuda() -> None:
    code = "import sys, bench.run.walk, bench.run.machine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_a_person_may_not_expect_is_said() -> None:
    a, b, other = Gpu("0", "A100"), Gpu("1", "A100"), Gpu("2", "L4")
    assert list(gpus.remarks([a, b], 4)) == []
    (several,) = gpus.remarks([a, b, other], 3)
    assert "(A100, L4)" in several
    assert several.endswith("networks are measured on A100")
    assert list(gpus.remarks([a, b], 1)) == ["--jobs 1: 1 of the 2 GPUs will be idle"]


FOUR = tuple(Gpu(entry, "A100") for entry in ("0", "1", "2", "GPU-dd"))


def nothing(event: str, key: str, data: Any) -> None:
    """Hear what happens, and do nothing."""


@contextlib.contextmanager
def opened(machine: Machine, cells: int = 100, emit: Emit = nothing) -> Iterator[Executor]:
    """Open who does the jobs; none is awaited at the end."""
    executor = machine.open(emit, cells)
    try:
        yield executor
    finally:
        executor.stop()
        executor.stop()
        executor.close()


def environments() -> list[dict[str, str]]:
    """Return the environment with which each worker process of this one began."""
    found = []
    for place in (Path(f"/proc/{child.pid}") for child in multiprocessing.active_children()):
        while b"spawn" not in (place / "cmdline").read_bytes():  # till then it is a copy of ours
            time.sleep(0.01)
        text = (place / "environ").read_bytes().decode()
        found.append(dict(line.partition("=")[::2] for line in text.split("\0")))
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="an environment is read from /proc"
)


@pytest.mark.parametrize(("more", "jobs"), [([], 4), (["--jobs", "8"], 8), (["--jobs", "1"], 1)])
def test_a_run_has_a_worker_per_gpu_unless_it_is_told_how_many(
    more: list[str], jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Machine] = []

    def run(plan: Any, store: Any, machine: Machine, listen: Any, **_: Any) -> Outcome:
        used.append(machine)
        return Outcome()

    monkeypatch.setattr(gpus, "choose", lambda option: FOUR if option == "cuda" else ())
    monkeypatch.setattr("bench.run.walk.run", run)
    told = ["run", str(write_suite(tmp_path)), "--store", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, [*told, "--mlflow", "none", "--device", "cuda", *more])
    assert [(machine.jobs, machine.gpus) for machine in used] == [(jobs, FOUR)]
    assert ("3 of the 4 GPUs will be idle" in done.stderr) == (jobs == 1)


@needs_proc
@pytest.mark.parametrize(
    ("jobs", "cells", "each"),
    [
        (4, 100, [1, 1, 1, 1]),
        (8, 100, [2, 2, 2, 2]),
        (6, 100, [2, 2, 1, 1]),
        (8, 3, [1, 1, 1]),  # no worker is started in vain
        (1, 100, [1]),
    ],
)
def test_each_worker_sees_one_gpu(
    jobs: int, cells: int, each: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "0,1,2,GPU-dd")
    before = dict(os.environ)
    machine = Machine(jobs, threads=3, gpus=FOUR)
    assert machine.device == "cuda"
    with opened(machine, cells):
        found = environments()
    seen = [gpu.entry for gpu, count in zip(FOUR, each, strict=False) for _ in range(count)]
    assert Counter(told[VISIBLE] for told in found) == Counter(seen)
    assert {told["OMP_NUM_THREADS"] for told in found} == {"3"}
    assert dict(os.environ) == before


@needs_proc
def test_on_the_cpu_a_worker_sees_what_its_parent_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "5")
    with opened(Machine(jobs=2)):
        assert [told[VISIBLE] for told in environments()] == ["5", "5"]


@needs_proc
def test_a_worker_that_died_is_replaced_on_its_gpu(tmp_path: Path) -> None:
    heard: list[str] = []
    machine = Machine(jobs=2, gpus=FOUR[2:])
    with opened(machine, emit=lambda event, *_: heard.append(event)) as executor:
        second = max(multiprocessing.active_children(), key=lambda child: child.pid or 0)
        assert Counter(told[VISIBLE] for told in environments()) == {"2": 1, "GPU-dd": 1}
        executor.submit(job(tmp_path))
        executor.submit(job(tmp_path))
        second.kill()
        while "died" not in heard:
            executor.wait()
        assert Counter(told[VISIBLE] for told in environments()) == {"2": 1, "GPU-dd": 1}


def test_a_worker_that_is_killed_while_it_waits_is_given_no_job(tmp_path: Path) -> None:
    with opened(Machine(jobs=2)) as executor:
        assert isinstance(executor, Processes)
        killed = multiprocessing.active_children()
        for child in killed:
            child.kill()
            child.join()
        executor.submit(job(tmp_path))
        executor.submit(job(tmp_path))
        given = [worker.process for worker, _ in executor._busy.values()]
        assert len(given) == 2
        assert not {process.pid for process in given} & {child.pid for child in killed}


def test_a_signal_that_comes_while_a_job_is_given_out_is_told(tmp_path: Path) -> None:
    with opened(Machine(jobs=2)) as executor:
        assert isinstance(executor, Processes)

        class Idle(list[Any]):
            def remove(self, worker: Any) -> None:
                super().remove(worker)
                executor.stop()

        executor._idle = Idle(executor._idle)
        executor.submit(job(tmp_path))
        ((worker, _),) = executor._busy.values()
        worker.process.join(60)
        assert worker.process.exitcode is not None


@pytest.mark.parametrize(
    ("device", "event", "data", "ends"),
    [
        ("cuda", "ended", {"status": "failed"}, True),
        ("cuda", "error", {"reason": "a metric failed"}, True),
        ("cuda", "ended", {"status": "done"}, False),
        ("cpu", "ended", {"status": "failed"}, False),
    ],
)
def test_a_worker_does_nothing_after_a_failure_on_a_gpu(
    device: str, event: str, data: dict[str, str], ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors.signal, "signal", lambda *_: None)
    monkeypatch.setattr(executors, "_watch_parent", lambda stopped: None)
    monkeypatch.setattr(executors, "_do", lambda job, emit, stop: emit(event, "a key", data))
    ours, theirs = multiprocessing.Pipe()
    for given in (replace(job(Path("runs")), device=device), None):
        ours.send(given)
    executors._main(theirs, outside.places())
    assert ours.recv()[0] == event
    assert ours.recv() == ("finished", "", {"is_last": ends})
    assert theirs.poll() == ends  # what came after it was not read


def test_a_worker_that_does_nothing_more_is_replaced() -> None:
    executor = Processes(lambda *_: None, [{}])
    (worker,) = executor._idle
    fake = _Worker(0, {})
    executor._idle, executor._busy = [], {fake.connection: (fake, job(Path("runs")))}  # type: ignore[dict-item]
    fake.theirs.send(("finished", "", {"is_last": True}))
    assert len(executor.wait()) == 1
    (other,) = executor._idle
    executor.close()
    worker.close(5.0)
    assert other is not fake
    assert other.environment == {}


def job(store: Path) -> Job:
    return Job("train", (), {}, (), (), store, "cpu", 1, 30.0, "")


class _Worker:
    """One that is told of jobs and does none."""

    def __init__(self, place: int, environment: dict[str, str]) -> None:
        self.place, self.environment = place, environment
        self.connection, self.theirs = multiprocessing.Pipe()
        self.process = types.SimpleNamespace(is_alive=lambda: True)

    def close(self, patience_s: float) -> None:
        self.connection.close()

    def end(self) -> None:
        self.theirs.recv()
        self.theirs.send(("finished", "", {}))


def test_a_job_goes_to_the_gpu_with_least_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[_Worker] = []

    def start(*given: Any) -> _Worker:
        workers.append(_Worker(*given))
        return workers[-1]

    monkeypatch.setattr(executors, "_Worker", start)
    executor = Processes(nothing, gpus.deal(FOUR[:2], 4))

    def busy() -> list[int]:
        return [worker.place for worker in workers if worker.theirs.poll()]

    executor.submit(job(tmp_path))
    executor.submit(job(tmp_path))
    assert busy() == [0, 1]  # one on each
    executor.submit(job(tmp_path))
    executor.submit(job(tmp_path))
    for ended in (1, 3):  # those of the second
        workers[ended].end()
        executor.wait()
    workers[0].end()
    executor.wait()
    assert busy() == [2]  # on the first
    executor.submit(job(tmp_path))
    assert busy() == [1, 2]
    for ended in (2, 1):
        workers[ended].end()
        executor.wait()
    executor.submit(job(tmp_path))  # alone, as a measurement is
    assert busy() == [0]
    executor.close()
