"""Sample images side by side, from the files of a cell."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

ROLES = ("input", "output", "target")
GAP = 2  # pixels between images


def sample_files(folder: Path) -> dict[tuple[str, int], dict[str, Path]]:
    """Return (direction, index) -> role -> file, in order."""
    found: dict[tuple[str, int], dict[str, Path]] = {}
    for path in sorted(folder.glob("*-*-*.png")):
        direction, index, role = path.stem.rsplit("-", 2)
        found.setdefault((direction, int(index)), {})[role] = path
    return {place: row for place, row in found.items() if {"input", "output"} <= set(row)}


def sample_grid(folder: Path) -> Image.Image | None:
    """Return one row per sample: input, output and, where there is one, ground truth."""
    samples = list(sample_files(folder).values())
    if not samples:
        return None
    rows = [[Image.open(row[role]) for role in ROLES if role in row] for row in samples]
    side = rows[0][0].width + GAP
    grid = Image.new("RGB", (side * len(rows[0]) - GAP, side * len(rows) - GAP), "white")
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            grid.paste(image, (left * side, top * side))
    return grid
