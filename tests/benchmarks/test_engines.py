"""What `bench_gpu.py` does with a GPU, as far as it can be done without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_gpu
import engines
import pytest
import torch
from launches import covered, launched, profiled, seconds, work_of
from recording import HostRead, Recording

from bench.train.checkpoint import digest
from bench.train.device import configure

CPU = torch.device("cpu")
STEPS = engines.WARMUP + 2


def cohort(monkeypatch: pytest.MonkeyPatch, numerics: str = "fp32") -> engines.Cohort:
    monkeypatch.setattr(bench_gpu, "METHODS", ("none", "wkd"))
    row = {"size": 32, "numerics": numerics, "engine": "together"}
    plan = bench_gpu.plan_of(row, tiny=True)
    configure("cpu", 1, plan.students[0].cell.numerics)
    return engines.Cohort(plan, CPU)


def bits(made: engines.Engine) -> list[str]:
    for number in range(STEPS):
        made.step(number)
    return [digest(learner.networks()) for learner in made.cohort.learners]


class Stream:
    def __init__(self, device: Any = None) -> None:
        self.waited: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited.append(other)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Stream]]:
    """Stand-ins for streams and graphs, so that the lines for a GPU run; yields the stack."""
    stack = [Stream()]

    class On:
        def __init__(self, stream: Stream) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            stack.append(self.stream)

        def __exit__(self, *error: object) -> None:
            stack.pop()

    class Captured(engines.Captured):
        def __init__(self, call: Any, stream: Any) -> None:
            assert isinstance(stream, Stream)
            with On(stream):
                self.stream, self.graph = stream, Recording(call)
            self.value = self.graph.value

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", On)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stack[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: None)
    monkeypatch.setattr(engines, "new_stream", Stream)
    monkeypatch.setattr(engines, "Captured", Captured)
    yield stack
    assert len(stack) == 1


def test_every_way_gives_the_bits_of_together(monkeypatch: pytest.MonkeyPatch) -> None:
    numerics = "bf16, channels_last"
    wanted = bits(engines.Together(cohort(monkeypatch, numerics)))
    for name in ("alone", "graphs", "streams", "branches"):
        assert bits(engines.ENGINES[name](cohort(monkeypatch, numerics))) == wanted, name


@pytest.mark.parametrize("name", ["graphs", "streams", "branches"])
def test_replays_of_what_was_captured_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, streams: list[Stream], name: str
) -> None:
    wanted = bits(engines.Together(cohort(monkeypatch)))
    made = engines.ENGINES[name](cohort(monkeypatch))
    with engines.on(made.stream):
        assert bits(made) == wanted
    assert made.notes == []
    students = [s for s in made.streams if s is not made.stream]
    assert len(set(students)) == (0 if name == "graphs" else 2)
    assert all(set(s.waited) == {made.stream} for s in students)  # for no other student


@pytest.mark.parametrize("name", ["graphs", "branches"])
def test_a_student_that_cannot_be_captured_takes_its_steps_as_before(
    monkeypatch: pytest.MonkeyPatch, streams: list[Stream], name: str
) -> None:
    wanted = bits(engines.Together(cohort(monkeypatch)))
    made = engines.ENGINES[name](cohort(monkeypatch))
    second = made.cohort.learners[1]
    whole = second.advance

    def looks(*given: Any) -> Any:
        found = whole(*given)
        next(iter(found.values())).item()
        return found

    monkeypatch.setattr(second, "advance", looks)
    with engines.on(made.stream):
        assert bits(made) == wanted
    (note,) = made.notes
    assert note.startswith(f"wkd was not captured: {HostRead.__name__}")


def test_a_trace_is_counted_as_launches_kernels_and_time() -> None:
    def event(cat: str, name: str, ts: float = 0, dur: float = 0) -> dict[str, Any]:
        return {"cat": cat, "name": name, "ts": ts, "dur": dur}

    events = [
        event("cuda_runtime", "cudaLaunchKernel"),
        event("cuda_runtime", "cudaGraphLaunch"),
        event("cuda_driver", "cuLaunchKernelEx"),
        event("cuda_runtime", "cudaMemcpyAsync"),
        event("cuda_runtime", "cudaDeviceSynchronize"),
        event("kernel", "conv", 0, 3000),
        event("kernel", "norm", 1000, 3000),
        event("gpu_memcpy", "copy", 6000, 1000),
        event("gpu_user_annotation", "step", 0, 9000),
        {"name": "process_name", "ph": "M"},
    ]
    assert launched(events, 2) == (2, 1.5, 2.5)
    assert covered([]) == 0


def test_a_profile_is_read_from_its_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Profile:
        def __init__(self, activities: Any) -> None:
            assert activities == [torch.profiler.ProfilerActivity.CUDA]

        def __enter__(self) -> Profile:
            return self

        def __exit__(self, *error: object) -> None: ...

        def export_chrome_trace(self, path: str) -> None:
            kernel = {"cat": "kernel", "name": "conv", "ts": 0, "dur": 2000}
            Path(path).write_text(json.dumps({"traceEvents": [kernel]}))

    monkeypatch.setattr(torch.profiler, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert profiled(lambda: None, 2, tmp_path / "trace.json") == (0, 0.5, 1.0)


def test_time_on_a_gpu_is_that_between_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = len(calls)

        def synchronize(self) -> None: ...

        def elapsed_time(self, end: Event) -> float:
            return 4.0 * (end.at - self.at)  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert seconds(lambda: calls.append(0), torch.device("cuda"), 5) == pytest.approx(4e-3)
    assert len(calls) == 6


def test_work_is_counted_by_operators() -> None:
    """A convolution of 1x1: 2 x 3 x 5 MACs at each of 16 places; a view moves nothing."""
    x, weight = torch.ones(1, 3, 4, 4), torch.ones(5, 3, 1, 1)
    found = work_of(lambda: torch.nn.functional.conv2d(x, weight).view(-1))
    assert found == (2 * 3 * 5 * 16, 4 * (48 + 15 + 80))


def rows() -> list[bench_gpu.Row]:
    return bench_gpu.variants([32], ["alone", "together", "graphs", "compile"])


def test_every_engine_has_its_variants_and_what_it_is_compared_with_comes_first() -> None:
    found = bench_gpu.variants([128, 256], list(engines.ENGINES))
    assert {row["engine"] for row in found} == set(engines.ENGINES)
    assert {row["numerics"] for row in found} == set(bench_gpu.NUMERICS)
    for place, row in enumerate(found):
        if row["engine"] not in ("alone", "together"):
            assert row | {"engine": "together"} in found[:place]


WORKER = """
import json, sys, time
rows = json.loads(sys.argv[sys.argv.index("--work") + 1])
for row in rows:
    kind = row["engine"]
    if kind == "dies":
        sys.exit("a device-side assert")
    if kind == "hangs":
        time.sleep(60)
    how = {"status": "failed", "reason": "it raised"} if kind == "raises" else {"status": "done"}
    print("something else")
    print("variant: " + json.dumps(row | how | {"notes": []}), flush=True)
    if kind == "raises":
        sys.exit(134)  # as with a broken CUDA context
    if kind == "lingers":
        time.sleep(60)
"""


def test_a_variant_that_fails_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_gpu, "START_S", 2.0)
    monkeypatch.setattr(bench_gpu, "EACH_S", 5.0)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    kinds = ["good", "raises", "good", "dies", "good", "hangs", "good"]
    asked = [{"size": 32, "numerics": "fp32", "engine": kind} for kind in kinds]
    worker = [sys.executable, str(script)]
    found = list(bench_gpu.measure_all(asked, "cpu", True, 60.0, worker))
    assert [row["engine"] for row in found] == kinds
    reasons = [row.get("reason", "") for row in found]
    assert reasons[1] == "it raised"
    assert reasons[3] == "the process ended with 1: a device-side assert"
    assert reasons[5].startswith("took more than 5 s")
    assert not any(reasons[::2])
    (late, *_) = bench_gpu.measure_all(asked, "cpu", True, 0.0, worker)
    assert late["status"] == "left out"


def test_a_worker_that_does_not_end_after_its_last_variant_loses_nothing(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    asked = [{"size": 32, "numerics": "fp32", "engine": kind} for kind in ("good", "lingers")]
    worker = [sys.executable, str(script)]
    found = list(bench_gpu.measure_all(asked, "cpu", True, 5.0, worker))
    assert [row["status"] for row in found] == ["done", "done"]


def test_what_was_measured_is_written_whatever_happens_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows()[0] | {"status": "left out", "reason": "the time was up"}

    def measured(*given: Any) -> Iterator[bench_gpu.Row]:
        yield row
        raise OSError

    monkeypatch.setattr(bench_gpu, "measure_all", measured)
    monkeypatch.setenv("OUT", str(tmp_path / "not" / "there"))
    with pytest.raises(OSError):  # noqa: PT011
        bench_gpu.main(["--device", "cpu", "--tiny"])
    found = json.loads((tmp_path / "not" / "there" / "bench_gpu.json").read_text())
    assert found["rows"] == [row]


def test_the_table_holds_times_against_one_by_one_and_bits_against_together() -> None:
    common = {"status": "done", "notes": [], "nondeterministic": [], "bits": ["a"]}
    alone, together, graphs, compiled = (row | common for row in rows()[:3] + rows()[-1:])
    alone["ms"], together["ms"], graphs["ms"] = 40.0, 20.0, 8.0
    together |= {"flops": 2e9, "bytes": 1e9, "peaks": {"flops": 1e12, "bytes": 1e12}}
    graphs |= {"launches": 9, "kernels": 400, "busy_ms": 6.0, "notes": ["sd was not captured"]}
    graphs["bits"] = ["b"]
    failed = compiled | {"numerics": "fp32", "status": "failed", "reason": "a | b"}
    lines = bench_gpu.table([alone, together, graphs, failed]).splitlines()[2:]
    assert lines[1] == "| 32 | fp32 | together | 20.00 | 2.00 | | | | equal | 2.00 | |".replace(
        "| |", "|  |"
    ).replace("| |", "|  |")
    assert lines[2].startswith(
        "| 32 | fp32 | graphs | 8.00 | 5.00 | 9 | 400 | 25% | differ | 2.00 "
    )
    assert lines[2].endswith("| sd was not captured |")
    assert lines[3].endswith("| failed: a \\| b |")
    assert {line.count("|") - line.count("\\|") for line in lines} == {12}


def test_a_worker_measures_and_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_gpu, "METHODS", ("none", "wkd"))
    asked = [
        {"size": 32, "numerics": "fp32", "engine": name} for name in ("together", "graphs", "no")
    ]
    assert bench_gpu.main(["--work", json.dumps(asked), "--device", "cpu", "--tiny"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("variant: ")]
    together, graphs, unknown = (json.loads(line.removeprefix("variant: ")) for line in said)
    assert together["bits"] == graphs["bits"]
    assert together["ms"] > 0 < graphs["ms"]
    assert bench_gpu.floor_ms(together) > 0
    assert unknown["reason"] == "KeyError: 'no'"
