"""Precision, memory format, compilation and devices: options that change bits, and so the key."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_diffusion_task import DIFFUSION
from test_diffusion_task import plan_of as diffusion_plan
from test_methods import lesson
from tiny import by_method, tiny_plan, train_teachers, train_together, weights
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.contracts.kinds import METHOD, METRIC, NETWORK
from bench.store import provenance
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.device import clocks, configure, full_precision, nondeterminism

TRANSLATING = [
    name
    for name in METHOD.names()
    if (tasks := METHOD.declaration(name, "test").says.tasks) is None or "paired" in tasks
]
OPTIONS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
}


def trained(folder: Path, device: str = "cpu", **changes: Any) -> tuple[Store, Any]:
    plan = tiny_plan(folder, **{"methods": ["wkd"]} | changes)
    store = Store(folder / "runs")
    (cell,) = by_method(plan).values()
    train_teachers(plan, store, device)
    train_together([cell], plan, store, device=device)
    return store, cell


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_trains_repeats_and_has_a_key_of_its_own(tmp_path: Path, option: str) -> None:
    runs = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        runs.append(trained(folder, **OPTIONS[option]))
    (one, cell), (two, _) = runs
    assert one.state(cell.key).status == "done"
    assert weights(one, cell) == weights(two, cell)
    tensors, _ = checkpoint.load(one.checkpoint(cell.key))
    assert {x.dtype for x in tensors.values() if x.is_floating_point()} == {torch.float32}
    plain = by_method(tiny_plan(tmp_path, methods=["wkd"]))["wkd"]
    assert (cell.key == plain.key) == (option == "fp32")


def test_half_precision_changes_the_result(tmp_path: Path) -> None:
    stores = {}
    for name in ("fp32", "bf16"):
        (tmp_path / name).mkdir()
        stores[name] = trained(tmp_path / name, **OPTIONS[name])
    assert weights(*stores["fp32"]) != weights(*stores["bf16"])


def test_flags_are_read_back() -> None:
    flags = configure("cpu", 1, {"precision": "tf32", "compile": False})
    assert flags["threads"] == 1
    assert flags["deterministic"] is True
    assert flags["fp32_precision"] == "tf32"
    assert configure("cpu", 1, {"precision": "fp32", "compile": False})["fp32_precision"] == "ieee"


def test_metrics_are_computed_in_full_precision_under_tf32() -> None:
    configure("cpu", 1, {"precision": "tf32", "compile": False})
    with full_precision():
        assert torch.backends.fp32_precision == "ieee"
    assert torch.backends.fp32_precision == "tf32"
    configure("cpu", 1, {"precision": "fp32", "compile": False})


def test_an_operator_without_a_deterministic_form_is_named() -> None:
    found: set[str] = set()
    with nondeterminism(found):
        warnings.warn("frob_cuda does not have a deterministic implementation, but", stacklevel=1)
    assert found == {"frob_cuda"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler warns about its own insides
def test_a_compiled_step_trains_to_nearly_the_same_losses(tmp_path: Path) -> None:
    losses = []
    for name, changes in (("plain", {}), ("compiled", {"compile": True})):
        (tmp_path / name).mkdir()
        store, cell = trained(tmp_path / name, **changes)
        losses.append(store.losses(cell.key)[-1]["losses"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


GPU: dict[str, dict[str, Any]] = {
    **OPTIONS,
    "tf32": {"precision": "tf32"},
    "fp16": {"precision": "fp16"},
    "compile": {"compile": True},
}


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # torch's compiler warns about its own insides
@pytest.mark.parametrize("option", GPU)
def test_every_option_trains_on_a_gpu(tmp_path: Path, option: str) -> None:
    store, cell = trained(tmp_path, "cuda", **GPU[option])
    assert store.state(cell.key).status == "done"


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ["unet", "resnet9", "mobile_resnet9"])
def test_a_gpu_repeats_bit_for_bit(tmp_path: Path, architecture: str) -> None:
    runs = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        runs.append(trained(folder, "cuda", architectures=[architecture]))
    (one, cell), (two, _) = runs
    assert one.read(cell.key, "end.json")["nondeterministic"] == []
    assert weights(one, cell) == weights(two, cell)


DENOISING: dict[str, Any] = {"hinton_l2": {}, "sd_native": {"levels": 2}}  # no translators


@pytest.mark.gpu
@pytest.mark.usefixtures("vgg16")
@pytest.mark.parametrize("name", TRANSLATING)
@pytest.mark.parametrize("unpaired", [False, True], ids=["paired", "unpaired"])
def test_every_method_repeats_on_a_gpu_or_says_what_does_not(
    tmp_path: Path, name: str, unpaired: bool
) -> None:
    place = {"datasets": ["grass2brick"], "architectures": ["resnet9"]} if unpaired else {}
    runs = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        runs.append(trained(folder, "cuda", methods=[name], **place))
    (one, cell), (two, _) = runs
    named = one.read(cell.key, "end.json")["nondeterministic"]
    assert named or weights(one, cell) == weights(two, cell)


METHODS: dict[str, Any] = {name: {"method": name} for name in TRANSLATING}
METHODS |= {name: {"method": name} | row for name, row in DENOISING.items()}
DML = {"dml": {"method": "wkd", "teacher": {"mode": "peers"}}}


def second_step(folder: Path, name: str, device: str) -> Callable[[], object]:
    """Return a method's second step with its teacher's pass; the first fills what is kept."""
    methods = {name: (METHODS | DML)[name]}
    if name in DENOISING:
        lite = {"lite": DIFFUSION["architectures"]["lite"]}
        plan = diffusion_plan(folder, architectures=lite, methods=methods)
    else:
        plan = tiny_plan(folder, methods=methods)
    learner, batches, teach = lesson(plan, folder, device)
    batch = {d: x.to(device) for d, x in batches[0].items()}

    def step(number: int) -> None:
        taught = teach(batch) if learner.teacher else None
        learner.update(number, 1e-4, batch, taught)

    step(0)
    return lambda: step(1)


@contextmanager
def synchronisation_is_an_error() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch warns, once, that it may not detect all of them.
        warnings.filterwarnings("ignore", "Synchronization debug mode", UserWarning)
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.usefixtures("vgg16")
@pytest.mark.parametrize("name", METHODS | DML)
def test_a_step_never_waits_for_the_gpu(tmp_path: Path, name: str) -> None:
    step = second_step(tmp_path, name, "cuda")
    with synchronisation_is_an_error():
        step()


class Waits(TorchFunctionMode):
    """Notes what would copy from Python's memory to a GPU, or back."""

    calls = (torch.tensor, torch.from_numpy, Tensor.new_tensor, Tensor.item,
             Tensor.tolist, Tensor.cpu, Tensor.numpy, Tensor.nonzero, Tensor.__bool__,
             Tensor.__float__, Tensor.__int__)  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.calls:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("vgg16")
@pytest.mark.parametrize("name", METHODS | DML)
def test_a_step_hands_no_numbers_of_python_to_the_device(tmp_path: Path, name: str) -> None:
    """What the test above finds on a GPU, as far as it can be seen without one."""
    step = second_step(tmp_path, name, "cpu")
    with Waits() as waits:
        step()
    assert waits.found == []


def test_clocks_are_those_of_the_device_that_was_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clocks(torch.device("cpu")) == {}
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\ntest "$4" = GPU-0a && echo "1980, 2619, 1980, 700.00, 570.1"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for uuid, found in (("0a", ["1980", "2619", "1980", "700.00", "570.1"]), ("0b", [])):
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda _, u=uuid: SimpleNamespace(uuid=u)
        )
        assert list(clocks(torch.device("cuda")).values()) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, []),  # CUDA's numbers are not nvidia-smi's
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["which -i 1"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-0a"}, ["which -i GPU-0a"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({}, ["A, 570", "B, 570"]),
    ],
)
def test_gpus_are_those_that_the_process_may_use(
    said: dict[str, str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        '#!/bin/sh\nshift 2\n[ $# = 0 ] && printf "A, 570\\nB, 570\\n" || echo which "$@"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert provenance.gpus() == found


def test_alike_gpus_need_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\nprintf "A, 570\\nA, 570\\nA, 570\\n"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    assert provenance.gpus() == ["A, 570", "A, 570"]


@pytest.mark.gpu
def test_latency_on_a_gpu_is_of_the_gpu() -> None:
    network = NETWORK.load("resnet9", "test")(16, 256, {"norm": "instance"})
    part = METRIC.part("latency", {"warmup": 20, "runs": 50}, "test")
    found = part.load()(part.params).measure(network, torch.device("cuda"))
    assert 0 < found["latency_q1"] <= found["latency"] <= found["latency_q3"] < 100
