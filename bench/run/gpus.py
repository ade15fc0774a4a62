"""Which GPUs of this machine a run uses, and what the environment of each worker says of them.

A worker is pinned by its environment before CUDA starts in it: it sees one GPU, which is "cuda" to
it. The process that hands out the jobs starts no CUDA at all.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.errors import DistillbenchError, SuiteError

VISIBLE = "CUDA_VISIBLE_DEVICES"
OPTION = re.compile(r"auto|cpu|cuda(:[0-9]+(,[0-9]+)*)?")
PATIENCE_S = 120.0  # for a driver that is asleep
ASK = """
import torch
for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    print(torch.cuda.get_device_name(index))
"""


@dataclass(frozen=True)
class Gpu:
    """One GPU that a run may use."""

    entry: str  # what CUDA_VISIBLE_DEVICES says where it alone is to be seen
    name: str  # its model


def choose(option: str) -> tuple[Gpu, ...]:
    """Return the GPUs that `--device` asks for, in its order; none: the CPU.

    Args:
        option: "cpu"; "cuda", all that are visible; "cuda:1,3", those, counted from 0 among the
            visible ones as torch counts them; "auto", as "cuda" where there are any.

    Raises:
        SuiteError: one of them is not there, or is named twice.
    """
    if option == "cpu" or (option == "auto" and _hidden()):
        return ()
    if why := _hidden():
        raise SuiteError(f"--device {option}: {why}.")
    found = visible()
    if option == "auto":
        return found
    if not found:
        said = f"{VISIBLE}={os.environ[VISIBLE]}: " if VISIBLE in os.environ else ""
        raise SuiteError(f"--device {option}: {said}torch sees no CUDA device.")
    if option == "cuda":
        return found
    wanted = [int(number) for number in option.removeprefix("cuda:").split(",")]
    if len(set(wanted)) < len(wanted):
        raise SuiteError(
            f"--device {option}: a GPU is named twice; --jobs puts several workers on each."
        )
    if max(wanted) >= len(found):
        count = f"{len(found)} GPU{'s' * (len(found) > 1)}"
        shown = ", ".join(f"{index}: {gpu.name}" for index, gpu in enumerate(found))
        raise SuiteError(f"--device {option}: this machine shows {count} ({shown}).")
    return tuple(found[index] for index in wanted)


def visible() -> tuple[Gpu, ...]:
    """Return the GPUs that a process of this environment may use, in CUDA's order.

    Raises:
        DistillbenchError: they cannot be asked for.
    """
    said = os.environ.get(VISIBLE)
    if said is None:
        return tuple(Gpu(str(index), name) for index, name in enumerate(_names({})))
    entries = [entry.strip() for entry in said.split(",")]
    if entries[0].startswith("MIG-"):  # CUDA shows a process one of these at a time
        return tuple(Gpu(e, name) for e in entries for name in _names({VISIBLE: e}))
    # CUDA ends the list at the first entry that it does not know
    return tuple(Gpu(entry, name) for entry, name in zip(entries, _names({}), strict=False))


def deal(gpus: Sequence[Gpu], jobs: int) -> list[dict[str, str]]:
    """Return what the environment of each of `jobs` workers says: one GPU each, dealt in turn."""
    if not gpus:
        return [{} for _ in range(jobs)]
    return [{VISIBLE: gpus[worker % len(gpus)].entry} for worker in range(jobs)]


def remarks(gpus: Sequence[Gpu], jobs: int) -> Iterator[str]:
    """Yield what a person may not expect of these GPUs."""
    models = list(dict.fromkeys(gpu.name for gpu in gpus))
    if len(models) > 1:
        yield (
            f"GPUs of several models ({', '.join(models)}): bits are those of a model, and each "
            f"result names its own; networks are measured on {gpus[0].name}"
        )
    if jobs < len(gpus):
        yield f"--jobs {jobs}: {len(gpus) - jobs} of the {len(gpus)} GPUs will be idle"


def driver() -> str:
    """Return "cuda" where a driver is installed, and else "cpu"; imports nothing."""
    try:
        ctypes.CDLL("libcuda.so.1" if os.name == "posix" else "nvcuda.dll")
    except OSError:
        return "cpu"
    return "cuda"


def _hidden() -> str:
    """Return why no process can see a GPU here; "" where one may."""
    if not os.environ.get(VISIBLE, "all").strip():
        return f"{VISIBLE} is empty, which hides every GPU"
    return "" if driver() == "cuda" else "this machine sees no CUDA device: it has no driver"


def _names(environment: Mapping[str, str]) -> list[str]:
    """Return the models of the GPUs that torch sees in a process of its own, in its order."""
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-W", "ignore", "-c", ASK],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or [str(error)])[-1]
        raise DistillbenchError(f"torch cannot say which GPUs there are: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise DistillbenchError(f"no GPU answers: {VISIBLE} can leave out a broken one") from error
    return done.stdout.splitlines()
