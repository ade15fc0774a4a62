"""Test images side by side: input, ground truth, teacher, every method."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure as Drawing

from bench.grid import sample_files
from bench.report import Figure, Report, Rows
from reports._format import SIZE, size

Column = tuple[str, list[Path]]  # heading, one file per image


class Samples(Report):
    """One grid per data set, architecture, direction and width, at each method's first seed."""

    order = 30

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield a grid wherever a student is trained."""
        done = rows.entries[rows.entries["status"] == "done"]
        students = done[done["role"] == "student"]
        groups = students.groupby(["dataset", "architecture", *SIZE], sort=False)
        for number, ((dataset, architecture, width, judge), group) in enumerate(groups):
            same = (done["dataset"] == dataset) & (done["architecture"] == architecture)
            teachers = done[same & (done["role"] == "teacher")]
            shown = pd.concat([teachers, group.sort_values("seed", kind="stable")])
            shown = shown.drop_duplicates("method").sort_index()
            found = _columns(shown)
            for direction, columns in found.items():
                heading = f"{dataset} {direction}" if len(found) > 1 else dataset
                title = f"{heading}, {architecture}, width {size(width, judge, rows)}"
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
    count = max(len(files) for _, files in columns)
    drawing, axes = plt.subplots(
        count,
        len(columns),
        figsize=(1.5 * len(columns), 1.5 * count + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for number, (heading, files) in enumerate(columns):
        axes[0][number].set_title(heading, fontsize=9, parse_math=False)
        for axis in axes[:, number]:
            axis.axis("off")
        for axis, file in zip(axes[:, number], files, strict=False):
            axis.imshow(plt.imread(file), interpolation="nearest")
    return drawing
