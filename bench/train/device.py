"""Where tensors live and how they are computed: set once per process, read back, recorded."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from bench.errors import SuiteError
from bench.store.provenance import cpu_name

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def configure(device: str, threads: int, numerics: Mapping[str, Any]) -> dict[str, Any]:
    """Make this process compute deterministically; return the flags as read back.

    TF32 is off unless asked for, cuDNN picks algorithms without trial runs, and the number of
    threads is fixed, because all of them change bits.

    Raises:
        SuiteError: the device does not exist, or a flag did not take.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SuiteError(f"--device {device}: torch {torch.__version__} sees no CUDA device.")
    fp32 = "tf32" if numerics["precision"] == "tf32" else "ieee"
    torch.set_num_threads(threads)
    if numerics["compile"]:
        torch.use_deterministic_algorithms(True, warn_only=True)  # tells inductor too
    else:
        torch.set_deterministic_debug_mode("warn")  # the same without importing inductor: 3 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.fp32_precision = fp32  # type: ignore[attr-defined]
    flags = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "fp32_precision": torch.backends.fp32_precision,  # type: ignore[attr-defined]
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda if device.startswith("cuda") else None,
    }
    asked = {"threads": threads, "deterministic": True, "cudnn_benchmark": False}
    for name, value in (asked | {"fp32_precision": fp32}).items():
        if flags[name] != value:
            raise SuiteError(f"{name} was set to {value} but reads back as {flags[name]}.")
    return flags


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 as float32, whatever `configure` was asked for: metrics never use TF32."""
    before = torch.backends.fp32_precision  # type: ignore[attr-defined]
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.backends.fp32_precision = before  # type: ignore[attr-defined]


def device_name(device: str) -> str:
    """Return the model of the processor behind a device."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return cpu_name()


CLOCKS = ("clocks.sm", "clocks.mem", "clocks.max.sm", "power.limit", "driver_version")


def clocks(device: torch.device) -> dict[str, str]:
    """Return clocks [MHz], power limit [W] and driver of a GPU as they are now; {} on a CPU.

    Two latencies of one model of GPU differ with them. Empty too where nvidia-smi does not answer.
    """
    if device.type != "cuda":
        return {}
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    query = [f"--query-gpu={','.join(CLOCKS)}", "--format=csv,noheader", "-i", uuid]
    try:
        done = subprocess.run(  # noqa: S603
            ["nvidia-smi", *query],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(CLOCKS, done.stdout.strip().split(", "), strict=True))


def autocast(device: torch.device, numerics: Mapping[str, Any]) -> torch.autocast:
    """Return the context in which networks run; off for fp32 and tf32."""
    dtype = AUTOCAST.get(numerics["precision"])
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def seed_step(seed: int, device: torch.device) -> None:
    """Seed torch's generators on the CPU and on the device.

    `torch.manual_seed` would also queue a call for a GPU that is not in use, with a stack trace:
    one to two milliseconds of every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextlib.contextmanager
def nondeterminism(found: set[str]) -> Iterator[None]:
    """Collect the names of operators that torch could not run deterministically."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def collect(message: Any, *args: Any, **kwargs: Any) -> None:
            match = re.match(r"(\S+) does not have a deterministic implementation", str(message))
            if match:
                found.add(match[1])
            else:
                show(message, *args, **kwargs)

        warnings.showwarning = collect
        warnings.filterwarnings("default", message=r"\S+ does not have a deterministic")
        yield
