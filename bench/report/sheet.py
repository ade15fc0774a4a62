"""A sheet of images in rows and columns, with headings, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure as Drawing

from bench.contracts.image import Pixels
from bench.store.atomic import replacing

INCHES = 1.6  # of an image


class Row(NamedTuple):
    """One row: what stands beside it, and its images."""

    label: str
    images: Sequence[Pixels]


def write_sheet(path: Path, title: str, headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Draw images, one per heading in each row.

    Raises:
        StoreError: the file cannot be written.
    """
    width, height = len(headings) * INCHES + 1.5, len(rows) * INCHES + 0.7
    drawing = Drawing(figsize=(width, height), layout="constrained")
    drawing.suptitle(title, fontsize=9, parse_math=False)
    grid = drawing.subplots(len(rows), len(headings), squeeze=False)
    for across, row in zip(grid, rows, strict=True):
        for axes, image in zip(across, row.images, strict=True):
            axes.imshow(image, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        across[0].set_ylabel(row.label, fontsize=7, parse_math=False)
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=8, parse_math=False)
    with replacing(path) as file:
        drawing.savefig(file, format="png", dpi=150)
