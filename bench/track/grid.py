"""Sample images side by side, from the files of a cell."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from bench.contracts.report import sample_files

GAP = 2  # pixels between images


def sample_grid(folder: Path) -> Image.Image | None:
    """Return one row per sample: what it was made from, output and, if any, ground truth."""
    samples = list(sample_files(folder).values())
    if not samples:
        return None
    rows = [[Image.open(path) for path in row.values()] for row in samples]
    side = rows[0][0].width + GAP
    grid = Image.new("RGB", (side * len(rows[0]) - GAP, side * len(rows) - GAP), "white")
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            grid.paste(image, (left * side, top * side))
    return grid
