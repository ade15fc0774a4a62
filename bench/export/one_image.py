"""What of a student makes an image of an image, and which sizes it takes."""

from __future__ import annotations

from typing import NamedTuple

import torch

from bench.contracts.network import Generator
from bench.errors import ExportError

DOUBLINGS = 10  # tried in search of a multiple


class Sides(NamedTuple):
    """Which heights and widths a network takes."""

    multiple: int
    least: int


def sides_of(network: Generator) -> Sides:
    """Return which sides a network takes, found by trying sizes on the meta device.

    An architecture declares a multiple that holds for its smallest form; a U-Net that is built for
    256 pixels halves them eight times.

    Raises:
        ExportError: it takes no image of its own size and a little more.
    """
    with torch.device("meta"):
        twin = network.twin().eval()
    multiples = [network.multiple << n for n in range(DOUBLINGS)]
    enough = network.size
    for multiple in multiples:
        side = -(-enough // multiple) * multiple
        if _takes(twin, side, side + multiple) and _takes(twin, side + multiple, side):
            least = next(n for n in range(multiple, side + 1, multiple) if _takes(twin, n, n))
            return Sides(multiple, least)
    raise ExportError(
        f"{type(network).__name__} gives no image of the size of its input at {enough} px."
    )


def _takes(twin: Generator, height: int, width: int) -> bool:
    """Say whether the output for an image has its size; False where there is none."""
    images = torch.empty(1, 3, height, width, device="meta")
    try:
        with torch.no_grad():
            return bool(twin(images)[0].shape == images.shape)
    except (RuntimeError, ValueError):
        return False
