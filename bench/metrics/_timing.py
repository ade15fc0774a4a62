"""Times of single calls of a network and of its parts, in ms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from bench.contracts.network import Generator

Inputs = tuple[torch.Tensor, ...]
Span = tuple[Any, Any]  # two moments of a clock


class _Clock:
    """Wall time."""

    def now(self) -> Any:
        """Return this moment."""
        return time.perf_counter_ns()

    def ms(self, start: Any, end: Any) -> float:
        """Return the time between two moments."""
        return float(end - start) / 1e6

    def wait(self) -> None:
        """Wait until the device has done what it was asked."""


class _CudaClock(_Clock):
    """CUDA events, which the device passes in its own time."""

    def now(self) -> Any:
        """Return an event between what was asked of the device and what will be."""
        kind: Any = torch.cuda.Event
        event = kind(enable_timing=True)
        event.record()
        return event

    def ms(self, start: Any, end: Any) -> float:
        """Return the time between two events that the device has passed."""
        return float(start.elapsed_time(end))

    def wait(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()


def example(
    network: Generator, device: torch.device, batch: int = 1, sides: tuple[int, int] | None = None
) -> Inputs:
    """Return inputs of zeros on a device, of the network's own size unless `sides` are given."""
    with device:
        return network.example(batch, sides)


@torch.inference_mode()
def times_of(network: Generator, inputs: Inputs, warmup: int, runs: int) -> list[float]:
    """Return one time per call: wall time on a CPU, CUDA events around each call on a GPU.

    On a GPU there is one synchronisation, at the end: one per call would time the waiting too.
    """
    for _ in range(warmup):
        network(*inputs)
    clock, spans = _clock(inputs), []
    clock.wait()
    for _ in range(runs):
        start = clock.now()
        network(*inputs)
        spans.append((start, clock.now()))
    clock.wait()
    return [clock.ms(*span) for span in spans]


@torch.inference_mode()
def times_by_part(network: Generator, inputs: Inputs, runs: int) -> dict[str, list[float]]:
    """Return one time per call for each of a network's `parts`, and for the `rest` of the call.

    Nothing of a network without parts, nor of a compiled one: its graph calls no hook.
    """
    found: dict[str, list[float]] = {}
    clock = _clock(inputs)
    has_parts = bool(network.parts) and network._compiled_call_impl is None
    for _ in range(runs if has_parts else 0):
        spans: dict[str, list[Span]] = {name: [] for name in network.parts}
        with ExitStack() as watched:
            for name, place in network.parts.items():
                for layer in _called(network.get_submodule(place)):
                    watched.enter_context(_watched(layer, clock, spans[name]))
            start = clock.now()
            network(*inputs)
            end = clock.now()
        clock.wait()
        times = {name: sum(clock.ms(*span) for span in each) for name, each in spans.items()}
        times[network.rest] = clock.ms(start, end) - sum(times.values())
        for name, spent in times.items():
            found.setdefault(name, []).append(spent)
    return found


def _clock(inputs: Inputs) -> _Clock:
    return _CudaClock() if inputs[0].is_cuda else _Clock()


def _called(module: nn.Module) -> list[nn.Module]:
    """Return the outermost modules that are called: a list of modules is not one."""
    if isinstance(module, nn.ModuleList):
        return [one for child in module for one in _called(child)]
    return [module]


@contextmanager
def _watched(layer: nn.Module, clock: _Clock, spans: list[Span]) -> Iterator[None]:
    """Note the moments between which a layer is called."""
    starts: list[Any] = []
    before = layer.register_forward_pre_hook(lambda *_: starts.append(clock.now()))
    after = layer.register_forward_hook(lambda *_: spans.append((starts[-1], clock.now())))
    with before, after:
        yield
