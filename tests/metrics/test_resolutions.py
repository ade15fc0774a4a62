"""A network at growing resolutions: what is timed, and where memory ends or would end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.metrics import _memory, _resolutions
from bench.metrics._timing import times_by_part
from bench.metrics.latency_by_size import LatencyBySize
from bench.metrics.memory_by_size import MemoryBySize

CPU = torch.device("cpu")
MB = 10**6
SIZES = [[64, 32], [128, 64], [256, 128]]


class Slow(nn.Module):
    """A layer that takes so many milliseconds of a clock that stands still otherwise."""

    def __init__(self, clock: list[int], ms: int) -> None:
        super().__init__()
        self.clock, self.ms = clock, ms

    def forward(self, x: Tensor) -> Tensor:
        self.clock[0] += self.ms * MB
        return x


class Parted(Generator):
    """Two layers of 5 ms in a list within a list, one of 3 ms, and 2 ms by the network itself."""

    parts = {"encode": "encoder", "decode": "decoder"}
    rest = "transform"

    def __init__(self, clock: list[int]) -> None:
        super().__init__(1, 8, {})
        self.clock = clock
        layers = [Slow(clock, 5), Slow(clock, 5)]
        self.encoder = nn.ModuleList([nn.ModuleList(layers)])
        self.decoder = Slow(clock, 3)

    def forward(self, x: Tensor, hints: Any = ()) -> Any:
        first, second = self.encoder[0].children()
        self.clock[0] += 2 * MB
        return self.decoder(second(first(x))), {}


def test_parts_are_timed_apart_and_what_is_left_is_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0]
    monkeypatch.setattr(time, "perf_counter_ns", lambda: clock[0])
    network = Parted(clock)
    found = times_by_part(network, (torch.zeros(1, 3, 8, 8),), 2)
    assert found == {"encode": [10, 10], "decode": [3, 3], "transform": [2, 2]}
    network(torch.zeros(1, 3, 8, 8))  # nothing watches any more
    assert not network.decoder._forward_hooks
    made = LatencyBySize({"sizes": [[16, 8]], "warmup": 0, "runs": 1})
    assert made.measure(network, CPU) == {
        "latency_16x8": 15,
        "encode_16x8": 10,
        "decode_16x8": 3,
        "transform_16x8": 2,
    }


@pytest.mark.filterwarnings("default")  # torch's compiler warns about its own insides
def test_a_compiled_network_has_no_parts() -> None:
    """Its graph would call no hook, and each part would take no time."""
    network = Parted([0])
    network.compile(backend="eager")
    assert times_by_part(network, (torch.zeros(1, 3, 8, 8),), 2) == {}


@pytest.mark.parametrize("name", ["pca_mobile", "wct2", "photowct"])
def test_a_stylisation_has_three_parts(name: str) -> None:
    """Layers in lists, in lists of lists, and transforms within the encoder."""
    torch.manual_seed(0)
    network = NETWORK.load(name, "test")((3, 4, 5, 6), 32, {})
    network.initialise()
    made = LatencyBySize({"sizes": [[40, 36]], "warmup": 0, "runs": 1})
    found = made.measure(network, CPU)
    assert set(found) == {f"{n}_40x36" for n in ("latency", "encode", "transform", "decode")}
    assert all(value > 0 for value in found.values())


class Watched(Generator):
    """Notes at which sizes it is called, and with what."""

    multiple = 16

    def __init__(self) -> None:
        super().__init__(1, 32, {})
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor, hints: Any = ()) -> Any:
        assert x.std() > 0.5, "noise, not zeros"
        self.seen.append(tuple(x.shape[-2:]))
        return x, {}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return a network of which every call takes 100 bytes per pixel."""
    made = Watched()

    def growth(act: Callable[[], Any]) -> float:
        act()
        return 100.0 * math.prod(made.seen[-1])

    monkeypatch.setattr(_resolutions, "growth_on_cpu", growth)
    return made


def test_on_a_cpu_a_size_that_would_not_fit_is_not_tried(
    network: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_resolutions, "available", lambda: 111.0 * 64 * 128)
    found = LatencyBySize({"sizes": SIZES[::-1], "warmup": 1, "runs": 1}).measure(network, CPU)
    assert found.pop("latency_256x128") == math.inf
    assert found.pop("predicted_256x128") == 1
    assert set(found) == {"latency_64x32", "latency_128x64"}
    assert set(network.seen) == {(64, 64), (32, 64), (64, 128)}  # the first estimate is of 64 x 64


def test_memory_may_end_at_the_first_estimate(
    network: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def growth(act: Callable[[], Any]) -> float:
        raise RuntimeError("can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(_resolutions, "growth_on_cpu", growth)
    found = LatencyBySize({"sizes": SIZES[:1], "warmup": 0, "runs": 1}).measure(network, CPU)
    assert found == {"latency_64x32": math.inf, "predicted_64x32": 1}


def test_nothing_is_tried_where_the_first_size_would_not_fit(
    network: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_resolutions, "available", lambda: 100.0 * 32 * 64)  # no margin
    found = LatencyBySize({"sizes": SIZES, "warmup": 0, "runs": 1}).measure(network, CPU)
    assert set(network.seen) == {(64, 64)}
    assert [found[f"latency_{w}x{h}"] for w, h in SIZES] == [math.inf] * 3


@pytest.mark.parametrize(
    "message",
    ["can't allocate memory: you tried to allocate 9 bytes", "CUBLAS_STATUS_ALLOC_FAILED"],
)
def test_the_end_of_memory_is_a_result_and_any_other_error_is_none(
    network: Watched, message: str
) -> None:
    def fails(self: Any, x: Tensor, hints: Any = ()) -> Any:
        if x.shape[-1] == 128:
            raise RuntimeError(message)
        return x, {}

    network.forward = fails.__get__(network)  # type: ignore[method-assign]
    network.seen.append((1, 1))
    made = LatencyBySize({"sizes": SIZES, "warmup": 0, "runs": 1})
    found = made.measure(network, CPU)
    assert found["latency_128x64"] == math.inf
    assert math.isfinite(found["latency_256x128"])
    assert "predicted_128x64" not in found
    message = "shapes differ"
    with pytest.raises(RuntimeError, match="shapes differ"):
        made.measure(network, CPU)


@pytest.mark.skipif(not _memory.CLEAR.exists(), reason="Linux alone tells the peak")
def test_a_calls_growth_is_its_peak_and_not_what_it_leaves() -> None:
    """Two blocks of 128 MiB of which one is freed before the second, then both at once."""
    block = 2**25  # numbers of 4 bytes

    def one_by_one() -> None:
        torch.ones(block)
        torch.ones(block)

    def at_once() -> Tensor:
        return torch.ones(block) + torch.ones(block)[:1]

    mib = 2**20
    assert _memory.growth_on_cpu(one_by_one) / mib == pytest.approx(128, rel=0.1)
    assert _memory.growth_on_cpu(at_once) / mib == pytest.approx(384, rel=0.1)
    assert _memory.growth_on_cpu(one_by_one) / mib == pytest.approx(128, rel=0.1)


def test_a_container_has_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"MACHINE": "MemAvailable:  4000 kB\n", "STATUS": "VmRSS:  1000 kB\nVmHWM:  9 kB\n"}
    for name, text in {**files, "CONTAINER": "max\n"}.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(_memory, name, tmp_path / name)
    assert _memory.available() == 4000 * 1024
    (tmp_path / "CONTAINER").write_text(f"{3000 * 1024}\n")
    assert _memory.available() == 2000 * 1024
    monkeypatch.setattr(_memory, "MACHINE", tmp_path / "none")
    assert _memory.available() == math.inf


@pytest.mark.gpu
def test_memory_grows_with_the_pixels_on_a_gpu() -> None:
    network = NETWORK.load("pca_vgg", "test")((10, 20, 58, 64), 32, {})
    made = MemoryBySize({"sizes": [[256, 256], [512, 512]]})
    small, large = made.measure(network, torch.device("cuda")).values()
    assert 3 < large / small < 4.5
