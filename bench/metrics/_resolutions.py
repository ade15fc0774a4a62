"""A network at growing resolutions, up to where memory ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from bench.contracts.network import Generator
from bench.metrics._memory import available, growth_on_cpu
from bench.metrics._timing import Inputs, example

FIRST = 4  # times smaller in both sides than the first size: what the first estimate is made of
SMALLEST = 64  # pixels a side, down to which it is so
MARGIN = 1.1  # between what is estimated and what has to be free


class Reached(NamedTuple):
    """What became of one resolution."""

    name: str  # WIDTHxHEIGHT in pixels
    values: Mapping[str, float] | None  # None: memory ended
    is_predicted: bool = False  # that it would, so that nobody tried


def by_size(
    network: Generator,
    device: torch.device,
    sizes: Sequence[Sequence[int]],
    measure: Callable[[Inputs], Mapping[str, float]],
) -> Iterator[Reached]:
    """Measure a network at each resolution, smallest first, at batch 1.

    A GPU says by itself where its memory ends. A CPU would begin to swap, and may take the machine
    with it: there each size is estimated from the one before, since maps grow with the pixels, the
    first from a call at a quarter of its sides, and one that would not fit is not tried. Images are
    noise, sides are cut down to the multiple that the network needs.

    Args:
        network: on the device, in evaluation mode.
        device: that of the network.
        sizes: width and height in pixels.
        measure: may be cut short by the end of memory.
    """
    on_cpu, per_pixel = device.type == "cpu", 0.0  # bytes
    for width, height in sorted(sizes, key=math.prod):
        name, sides = f"{width}x{height}", _sides(network, width, height)
        values: Mapping[str, float] | None = None
        is_tried = False
        try:
            if on_cpu and not per_pixel:
                small = (max(side // FIRST, SMALLEST) for side in (width, height))
                first = _sides(network, *small)
                per_pixel = _growth(network, device, first) / math.prod(first)
            if not on_cpu or MARGIN * per_pixel * math.prod(sides) <= available():
                is_tried = True
                if on_cpu:
                    per_pixel = _growth(network, device, sides) / math.prod(sides)
                values = measure(_noise(network, device, sides))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        yield Reached(name, values, is_predicted=not is_tried)


def _sides(network: Generator, width: int, height: int) -> tuple[int, int]:
    """Return height and width, cut down to what the network takes, but to no less than once it."""
    multiple = network.multiple
    height, width = (max(side // multiple, 1) * multiple for side in (height, width))
    return height, width


def _growth(network: Generator, device: torch.device, sides: tuple[int, int]) -> float:
    """Return how many bytes a call takes, its inputs included."""
    return growth_on_cpu(lambda: network(*_noise(network, device, sides)))


def _noise(network: Generator, device: torch.device, sides: tuple[int, int]) -> Inputs:
    """Return inputs whose images are noise in [-1, 1]: of zeros no map has a covariance."""
    inputs = example(network, device, sides=sides)
    generator = torch.Generator(device).manual_seed(0)
    for image in inputs:
        if image.ndim == 4:
            image.uniform_(-1, 1, generator=generator)
    return inputs


def _is_out_of_memory(error: Exception) -> bool:
    """Tell a failed allocation, of torch or a library on a GPU, or on a CPU, from other errors."""
    told = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "allocate memory" in told
        or "ALLOC_FAILED" in told
    )
