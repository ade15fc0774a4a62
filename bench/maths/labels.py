"""Label maps: colours to classes, and logits to the classes that they favour."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def largest(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize logits [N, C, H, W] bilinearly and take the largest: [N, *size] int64.

    One image at a time: at 2048 x 1024 pixels the logits of 19 classes are 160 MB each.
    """
    resized = (F.interpolate(image[None], size, mode="bilinear") for image in logits)
    return torch.cat([image.argmax(1) for image in resized])


VOID = 255  # of a pixel that has no class


def read_labels(
    image: Tensor, palette: Mapping[str, Sequence[int]], void: Sequence[Sequence[int]] = ()
) -> Tensor:
    """Read a label map: each pixel has the class with the nearest colour.

    Args:
        image: [N, 3, H, W] in [0, 1]; resizing and JPEG may have blurred its colours.
        palette: class -> RGB of 0 to 255.
        void: colours that are no class.

    Returns:
        [N, H, W] int64, places in the palette; `VOID` where there is no class.
    """
    listed = tuple(tuple(colour) for colour in (*palette.values(), *void))
    colours = _colours(listed, image.device)
    pixels = image.permute(0, 2, 3, 1).reshape(-1, 3).to(colours.dtype)
    found = torch.cdist(pixels, colours).argmin(1).view(len(image), *image.shape[2:])
    return torch.where(found < len(palette), found, VOID)


@functools.cache
def _colours(listed: tuple[tuple[int, ...], ...], device: torch.device) -> Tensor:
    """Return colours as [C, 3] in [0, 1], copied to a device once: a step must not wait for it."""
    return torch.tensor(listed, device=device) / 255
