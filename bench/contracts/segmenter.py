"""The contract of a pretrained segmenter: one file in `bench/segmenters/`; and what labels are.

A segmenter tells what a generated photograph shows; mIoU holds that against the labels from which
the photograph was made. Besides these there is `trained`: a small segmenter that the plan trains
on the data set's own real pairs (`bench/tasks/segmentation.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

Predictor = Callable[[Tensor, tuple[int, int]], Tensor]
"""[N, 3, H, W] in [0, 1] and a size (h, w) -> [N, h, w] int64, a class per pixel of that size."""


class Segmenter:
    """Images to classes, by a published network."""

    version: ClassVar[int] = 1  # raise it when the classes it finds change
    source: ClassVar[str] = ""
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks of bench/fetch/weights.py
    classes: ClassVar[Sequence[str]] = ()  # in the order of its outputs

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """[N, 3, H, W] float32 RGB in [0, 1] -> [N, h, w] int64, a class per pixel of `size`.

        Logits are resized to that, the size of the labels, before the largest is taken.
        """
        raise NotImplementedError


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
