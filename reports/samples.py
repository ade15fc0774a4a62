"""Test images side by side: input, ground truth, teacher, every method."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure as Drawing
from PIL import Image

from bench.contracts.report import Figure, Report, Rows, is_whole, sample_files
from reports._select import sampled, told_seeds
from reports._style import PAGE, shown

Column = tuple[str, list[Path]]  # heading, one file per image

INCHES = 1.5  # of an image and the gap beside it
DPI = 300  # of paper: no image is drawn with more pixels than it has there
GAP = 1 / 24  # of an image's width
HEAD = 0.25  # inches
LETTER = 0.065  # inches


class Samples(Report):
    """One grid per data set, architecture, direction and width, at each method's first seed."""

    order = 30

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield a grid wherever a student is trained."""
        for number, (dataset, network, students, teacher) in enumerate(sampled(rows)):
            chosen = pd.concat([teacher, students])
            found = _columns(chosen)
            for direction, columns in found.items():
                heading = f"{dataset} {direction}" if len(found) > 1 else dataset
                title = f"{heading}, {network}"
                seeds = told_seeds(chosen)
                yield Figure(
                    f"samples-{number}-{direction}",
                    f"Samples: {title}",
                    f"Test images at even distances over the split, not chosen ({seeds}).",
                    _draw(columns),
                    _damaged(chosen),
                    frames=columns,
                )


def _damaged(chosen: pd.DataFrame) -> list[str]:
    """Say whose samples cannot be shown."""
    said = []
    for method, folder in chosen[["method", "samples"]].to_numpy():
        count = sum(not is_whole(path) for path in Path(folder).glob("*-*-*.png"))
        if count:
            said.append(f"{method}: {count} files of samples are damaged; the image is left out")
    return said


def _columns(chosen: pd.DataFrame) -> dict[str, list[Column]]:
    """Return direction -> columns: what images were made from, ground truth, then every method.

    An image that one method lacks is left out of all columns, so that rows stay rows.
    """
    methods = [(m, sample_files(Path(f))) for m, f in chosen[["method", "samples"]].to_numpy()]
    methods = [(method, files) for method, files in methods if files]
    found: dict[str, list[Column]] = {}
    for direction in dict.fromkeys(d for _, files in methods for d, _ in files):
        having = [
            (method, {i: row for (d, i), row in files.items() if d == direction})
            for method, files in methods
        ]
        having = [(method, rows) for method, rows in having if rows]
        common = [i for i in having[0][1] if all(i in rows for _, rows in having)]
        first = having[0][1]
        roles = dict.fromkeys(role for i in common for role in first[i])
        columns = [
            ("ground truth" if role == "target" else role, [first[i][role] for i in common])
            for role in roles
            if role != "output" and all(role in first[i] for i in common)
        ]
        columns += [(m, [rows[i]["output"] for i in common]) for m, rows in having]
        if common:
            found[direction] = columns
    return found


def _draw(columns: list[Column]) -> Drawing:
    """Return all images in one picture: a grid of axes takes seconds where methods are many."""
    inches = min(INCHES, PAGE / len(columns))
    most = round(DPI * inches / (1 + GAP))
    pictures = [[_pixels(file, most) for file in files] for _, files in columns]
    high, wide, _ = np.max([image.shape for column in pictures for image in column], axis=0)
    gap = max(1, round(GAP * wide))
    count = max(len(column) for column in pictures)
    canvas = np.full((count * (high + gap), len(columns) * (wide + gap), 3), 255, np.uint8)
    for left, column in enumerate(pictures):
        for top, image in enumerate(column):
            y, x = top * (high + gap), left * (wide + gap)
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    width = inches * len(columns)
    height = width * canvas.shape[0] / canvas.shape[1]
    drawing = plt.figure(figsize=(width, height + HEAD))
    axes = drawing.add_axes((0, 0, 1, height / (height + HEAD)))
    axes.axis("off")
    axes.imshow(canvas, interpolation="none")
    for number, (heading, _) in enumerate(columns):
        centre, text = number * (wide + gap) + wide / 2, shown(heading, int(inches / LETTER))
        axes.text(centre, -gap, text, fontsize=8, ha="center", va="bottom")
    return drawing


def _pixels(file: Path, most: int) -> npt.NDArray[np.uint8]:
    """Return an image as [H, W, 3], shrunk where a side is longer than `most` pixels."""
    image = Image.open(file).convert("RGB")
    image.thumbnail((most, most))
    return np.asarray(image)
