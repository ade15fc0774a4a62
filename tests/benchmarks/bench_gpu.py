"""Steps of a cohort of eight on one GPU: which way is the fastest, and how near the floor?

    python tests/benchmarks/bench_gpu.py                        # about eight minutes, writes to $OUT
    python tests/benchmarks/bench_gpu.py --device cpu --tiny    # everything but the capture

Pix2Pix, ResNet-9 of width 16, teacher and discriminators of width 64, at 128 and 256 px, in several
precisions and memory formats, deterministic flags on; the ways are those of `engines.py`. Images
are those of `.gpu/facades` where they are, else built-in ones. Networks are not trained: times do
not depend on weights. Each variant starts from the same weights, takes some steps whose bits are
compared with those of `together`, is timed by CUDA events and then profiled.

Variants run in a process of their own that goes on as long as nothing goes wrong in it. One that
raises, dies or takes too long is a row that says so; the others run in a new process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from engines import ENGINES, WARMUP, Cohort, Engine, first_line, on
from launches import peaks, profiled, seconds, work_of

from bench.check.small import small_plan
from bench.plan.matrix import Plan
from bench.train.checkpoint import digest
from bench.train.device import clocks, configure, device_name, nondeterminism

ROOT = Path(__file__).parents[2]
FACADES = ROOT / ".gpu" / "facades"
METHODS = ("none", "hinton", "at", "gan_compression", "wkd", "pca_kd", "sd", "srkd")
CHECKED = WARMUP + 3  # steps whose bits are compared: some of them are replayed
TIMED_S, MOST = 1.5, 100  # that are timed, in seconds and in steps
PROFILED = 2  # steps
TOTAL_S, START_S, EACH_S, COMPILE_S = 470.0, 60.0, 60.0, 120.0  # whole script, process, variant
MARK = "variant: "  # begins the lines of a worker that are results

NUMERICS: Mapping[str, Mapping[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
    "bf16, channels_last": {"precision": "bf16", "channels_last": True},
}
Row = dict[str, Any]


def variants(sizes: Sequence[int], engines: Sequence[str]) -> list[Row]:
    """Return what to measure, the most wanted first: what is compiled takes the longest."""
    quick = [e for e in engines if e not in ("alone", "compile")]
    rows = [
        {"size": size, "numerics": numerics, "engine": engine}
        for numerics in NUMERICS
        for size in sizes
        for engine in (["alone"] if numerics == "fp32" and "alone" in engines else []) + quick
    ]
    if "compile" in engines:
        rows += [
            {"size": size, "numerics": numerics, "engine": "compile"}
            for numerics in ("fp32", "bf16, channels_last")
            for size in sizes
        ]
    return rows


def plan_of(row: Row, tiny: bool) -> Plan:
    """Return the plan whose students are trained."""
    width, above = (2, 4) if tiny else (16, 64)
    data = {"facades": {"path": str(FACADES)}} if FACADES.is_dir() else {"photo_edges": {}}
    numerics = {**NUMERICS[row["numerics"]], "compile": row["engine"] == "compile"}
    return small_plan(
        name="gpu",
        datasets=data,
        architectures={"resnet9": {}},
        methods={name: {} for name in METHODS},
        widths=[width],
        discriminator_widths=[above],
        size=row["size"],
        teacher={"width": above, "budget": {"steps": 1}},
        budget={"steps": 1000, "batch": 1},
        **numerics,
    )


def measured(row: Row, device: torch.device, tiny: bool) -> Row:
    """Measure one variant."""
    plan = plan_of(row, tiny)
    numerics = plan.students[0].cell.numerics
    configure(str(device), 1, numerics)
    found: set[str] = set()
    with nondeterminism(found):
        cohort = Cohort(plan, device)
        engine = ENGINES[row["engine"]](cohort)
        is_cuda = device.type == "cuda"
        if is_cuda:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        with on(engine.stream):
            steps = _counting(engine)
            for _ in range(CHECKED):
                steps()
            bits = [digest(learner.networks()) for learner in cohort.learners]
            once = seconds(steps, device, 2)
            count = min(MOST, max(2, int(TIMED_S / once))) if is_cuda else 1
            step_s = seconds(steps, device, count)
            done = row | {"status": "done", "ms": 1e3 * step_s, "steps": count, "bits": bits}
            if is_cuda:
                done["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
                done |= _profile(steps)
            if row["engine"] == "together":
                done |= work_of(steps)._asdict()
                done["peaks"] = peaks(device, numerics["precision"])._asdict()
    return done | {"notes": engine.notes, "nondeterministic": sorted(found)}


def _counting(engine: Engine) -> Callable[[], None]:
    """Return a call that takes the engine's next step."""
    numbers = iter(range(sys.maxsize))
    return lambda: engine.step(next(numbers))


def _profile(steps: Callable[[], None]) -> Row:
    """Return launches, kernels and busy time of a step; a remark where the profiler fails."""

    def run() -> None:
        for _ in range(PROFILED):
            steps()

    try:
        with tempfile.TemporaryDirectory() as folder:
            return profiled(run, PROFILED, Path(folder) / "trace.json")._asdict()
    except Exception as error:
        return {"profiler": first_line(error)}


def work(rows: Sequence[Row], device: str, tiny: bool) -> None:
    """Measure variants, one line each, until one fails: then this process is not to be trusted."""
    for row in rows:
        try:
            found = measured(row, torch.device(device), tiny)
        except Exception as error:
            found = row | {"status": "failed", "reason": first_line(error)}
        print(MARK + json.dumps(found), flush=True)
        if is_last(found):
            return
        gc.collect()
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def is_last(found: Row) -> bool:
    """Say whether a worker leaves what comes after this to a new one, however it ends then."""
    return found["status"] == "failed" or bool(found["notes"])


def measure_all(
    rows: Sequence[Row], device: str, tiny: bool, total_s: float, worker: Sequence[str]
) -> Iterator[Row]:
    """Yield every variant with what was found, or why it was not.

    Args:
        rows: of `variants`.
        device: cpu or cuda.
        tiny: networks as small as can be.
        total_s: what all of it may take.
        worker: the command of a worker, without what it is to measure.
    """
    end, left = time.monotonic() + total_s, list(rows)
    while left and time.monotonic() < end:
        asked = ["--work", json.dumps(left), "--device", device, *(["--tiny"] if tiny else [])]
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(
                [*worker, *asked],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=_environment(),
            )
            heard, leaves = 0, False
            try:
                for found in _heard(child, left, end):
                    left.pop(0)
                    heard += 1
                    leaves = is_last(found)
                    yield found
                    if not left:
                        break
            except TimeoutError as error:
                yield left.pop(0) | {"status": "failed", "reason": str(error)}
            except EOFError:
                if not leaves and (child.wait() or not heard):
                    errors.seek(0)
                    said = (errors.read().strip().splitlines() or [""])[-1]
                    reason = f"the process ended with {child.returncode}: {said}"
                    yield left.pop(0) | {"status": "failed", "reason": reason}
            finally:
                child.kill()
                child.wait()
    for row in left:
        yield row | {"status": "left out", "reason": "the time was up"}


def _environment() -> dict[str, str]:
    """Return a worker's: this project's packages, and a profiler that survives CUDA graphs."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    profiler = {"DISABLE_CUPTI_LAZY_REINIT": "1", "TEARDOWN_CUPTI": "0"}
    return {**os.environ, **profiler, "PYTHONPATH": os.pathsep.join(paths)}


def _heard(child: subprocess.Popen[str], rows: Sequence[Row], end: float) -> Iterator[Row]:
    """Yield a worker's results; EOFError once it ended, TimeoutError where one takes too long."""
    lines: queue.Queue[str] = queue.Queue()
    assert child.stdout is not None
    threading.Thread(target=_pump, args=(child.stdout, lines), daemon=True).start()
    starting = START_S  # before the first one
    while True:
        limit = COMPILE_S if rows and rows[0]["engine"] == "compile" else EACH_S
        until = min(time.monotonic() + starting + limit, end)
        starting = 0.0
        line = ""
        while not line.startswith(MARK):
            try:
                line = lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"took more than {limit:.0f} s, or the time was up") from None
            if not line:
                raise EOFError
        yield json.loads(line.removeprefix(MARK))


def _pump(stream: IO[str], lines: queue.Queue[str]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def table(rows: Sequence[Row]) -> str:
    """Return the results in markdown; ratios are to the same size one by one in fp32."""
    lines = [
        "| px | numerics | way | ms | x alone | launches | kernels | idle | bits | floor \\[ms\\] | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        place = f"| {row['size']} | {row['numerics']} | {row['engine']} "
        if row["status"] != "done":
            lines.append(f"{place}| | | | | | | | {row['status']}: {escaped(row['reason'])} |")
            continue
        alone = _peer(rows, row | {"numerics": "fp32", "engine": "alone"})
        peer = _peer(rows, row | {"engine": "together"})
        gain = f"{alone['ms'] / row['ms']:.2f}" if alone else ""
        counts = [f"{row[n]:.0f}" if n in row else "" for n in ("launches", "kernels")]
        idle = f"{max(0.0, 1 - row['busy_ms'] / row['ms']):.0%}" if "busy_ms" in row else ""
        bits = "" if peer is None else "equal" if peer["bits"] == row["bits"] else "differ"
        floor = f"{floor_ms(peer):.2f}" if peer else ""
        remarks = [*row["notes"], *([row["profiler"]] if "profiler" in row else [])]
        remarks += [f"not deterministic: {', '.join(row['nondeterministic'])}"] * bool(
            row["nondeterministic"]
        )
        cells = [f"{row['ms']:.2f}", gain, *counts, idle, bits, floor, escaped("; ".join(remarks))]
        lines.append(f"{place}| {' | '.join(cells)} |")
    return "\n".join(lines)


def floor_ms(row: Row) -> float:
    """Return the least time of a step: by its MACs at the peak, or by its bytes if that is more."""
    return 1e3 * max(row[name] / row["peaks"][name] for name in ("flops", "bytes"))


def _peer(rows: Sequence[Row], like: Row) -> Row | None:
    keys = ("size", "numerics", "engine")
    same = (r for r in rows if r["status"] == "done" and all(r[k] == like[k] for k in keys))
    return next(same, None)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it and all numbers to $OUT if that is set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks at 32 px")
    parser.add_argument("--seconds", type=float, default=TOTAL_S, help="what all of it may take")
    parser.add_argument("--engines", default=",".join(ENGINES), help="some of them, by commas")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.work:
        work(json.loads(options.work), options.device, options.tiny)
        return 0
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("bench_gpu: no CUDA device is here; --device cpu --tiny tries all but the capture.")
        return 2
    out = Path(os.environ["OUT"]) if os.environ.get("OUT") else None
    if out:
        out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    asked = variants([32] if options.tiny else [128, 256], options.engines.split(","))
    worker = [sys.executable, __file__]
    for row in measure_all(asked, options.device, options.tiny, options.seconds, worker):
        rows.append(row)
        if out:  # now: whatever happens later, what was measured is there
            (out / "bench_gpu.json").write_text(json.dumps({"rows": rows}, indent=1))
        said = f"{row['ms']:.2f} ms" if row["status"] == "done" else row["reason"]
        print(f"{row['size']} px, {row['numerics']}, {row['engine']}: {said}", flush=True)
    text = table(rows)
    print(f"\n{text}")
    if out:
        facts = {"device": device_name(options.device), **clocks(torch.device(options.device))}
        facts |= {"torch": str(torch.__version__), "cuda": torch.version.cuda}
        (out / "bench_gpu.json").write_text(json.dumps(facts | {"rows": rows}, indent=1))
        (out / "bench_gpu.md").write_text(f"{text}\n")
    return 0 if any(row["status"] == "done" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
