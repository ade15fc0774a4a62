"""Test images side by side: input, ground truth, teacher, every method."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing
from PIL import Image

from bench.grid import sample_files
from bench.report import Figure, Report, Rows
from reports._select import sampled

Column = tuple[str, list[Path]]  # heading, one file per image


class Samples(Report):
    """One grid per data set, architecture, direction and width, at each method's first seed."""

    order = 30

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield a grid wherever a student is trained."""
        for number, (dataset, network, students, teacher) in enumerate(sampled(rows)):
            shown = pd.concat([teacher, students])
            found = _columns(shown)
            for direction, columns in found.items():
                heading = f"{dataset} {direction}" if len(found) > 1 else dataset
                title = f"{heading}, {network}"
                seeds = ", ".join(f"{m} seed {s}" for m, s in shown[["method", "seed"]].to_numpy())
                yield Figure(
                    f"samples-{number}-{direction}",
                    f"Samples: {title}",
                    f"Test images at even distances over the split, not chosen ({seeds}).",
                    _draw(columns),
                    frames=columns,
                )


def _columns(shown: pd.DataFrame) -> dict[str, list[Column]]:
    """Return direction -> columns: input, ground truth where there is one, then every method."""
    found: dict[str, list[Column]] = {}
    for number, (method, folder) in enumerate(shown[["method", "samples"]].to_numpy()):
        files = sample_files(Path(folder))
        for direction in dict.fromkeys(direction for direction, _ in files):
            mine = [row for (d, _), row in files.items() if d == direction]
            for role, heading in (("input", "input"), ("target", "ground truth")):
                if number == 0 and all(role in row for row in mine):
                    found.setdefault(direction, []).append((heading, [row[role] for row in mine]))
            found.setdefault(direction, []).append((method, [row["output"] for row in mine]))
    return found


def _draw(columns: list[Column]) -> Drawing:
    """Return all images in one picture: a grid of axes takes seconds where methods are many."""
    pictures = [[np.asarray(Image.open(file).convert("RGB")) for file in f] for _, f in columns]
    high, wide, _ = np.max([image.shape for column in pictures for image in column], axis=0)
    gap = max(1, wide // 24)
    count = max(len(column) for column in pictures)
    canvas = np.full((count * (high + gap), len(columns) * (wide + gap), 3), 255, np.uint8)
    for left, column in enumerate(pictures):
        for top, image in enumerate(column):
            y, x = top * (high + gap), left * (wide + gap)
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    drawing, axis = plt.subplots(
        figsize=(1.5 * len(columns), 1.5 * count * high / wide + 0.3), layout="constrained"
    )
    axis.imshow(canvas, interpolation="nearest")
    centres = np.arange(len(columns)) * (wide + gap) + wide / 2
    axis.set_xticks(centres, [heading for heading, _ in columns], fontsize=9)
    axis.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False)
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    return drawing
