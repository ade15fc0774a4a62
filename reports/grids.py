"""Test images side by side with one detail enlarged, in the manner of WKD's Figure 3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Drawing
from PIL import Image, ImageDraw

from bench.contracts.report import Figure, Report, Rows, sample_files
from reports._select import sampled, told_seeds
from reports._style import PAGE, shown

Values = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]  # left, top, right, bottom
Samples = dict[int, dict[str, Path]]  # image -> role -> file
Column = tuple[str, dict[int, Path]]  # heading, image -> file

IMAGES = 3  # rows of a grid
METHODS = 5  # columns of one figure, beside input, target and teacher
TILE = 160  # pixels of an image in the figure
GAP = 6  # pixels
PART = 4  # a window's side is the image's divided by it
FRAME = (213, 94, 0)  # of the window
HEADINGS = {"target": "ground truth"}  # of roles that have another one than their name
CAPTION = (
    "Test images at even distances over the split, not chosen. Below each, enlarged, the framed "
    "window: a quarter of each side, where the {reference} has the most detail (the largest sum of "
    "squared differences between neighbouring pixels); one rule, and the same window for all "
    "methods. Each method's first seed that ended: {seeds}."
)


class Grids(Report):
    """One grid per data set, architecture, direction and size.

    Its columns: what outputs were made from, ground truth, teacher, methods. Of what an output was
    made from besides its input no window is shown: the two need not lie upon each other.
    """

    order = 35

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield a grid wherever students have samples."""
        for number, (dataset, network, chosen, teacher) in enumerate(sampled(rows)):
            above = _samples(teacher["samples"].iloc[0]) if len(teacher) else {}
            cells = [
                (m, _samples(folder)) for m, folder in chosen[["method", "samples"]].to_numpy()
            ]
            directions = list(dict.fromkeys(d for _, found in cells for d in found))
            for direction in directions:
                several = f" {direction}" if len(directions) > 1 else ""
                place = f"{dataset}{several}, {network}"
                columns = [(m, found[direction]) for m, found in cells if direction in found]
                grid = _Grid(columns, above.get(direction, {}))
                yield from grid.figures(f"grids-{number}-{direction}", place, told_seeds(chosen))


def detailed(gray: Values) -> Box:
    """Return the window with the largest sum of squared differences between neighbours.

    Its sides are a quarter of the image's; of equal windows the first, row by row.

    Args:
        gray: [H, W].
    """
    height, width = (max(1, side // PART) for side in gray.shape)
    down, across = np.gradient(gray)
    detail = np.pad((down**2 + across**2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = detail[height:, width:] - detail[:-height, width:]
    sums -= detail[height:, :-width] - detail[:-height, :-width]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return int(left), int(top), int(left) + width, int(top) + height


class _Grid:
    """Columns of images with their windows."""

    def __init__(self, students: list[tuple[str, Samples]], teacher: Samples) -> None:
        first = students[0][1]
        self.images = list(first)[:IMAGES]
        roles = dict.fromkeys(role for i in self.images for role in first[i] if role != "output")
        shown = [(HEADINGS.get(role, role), first, role) for role in roles]  # none: from noise
        self.apart = roles.keys() - {"input", "target"}
        self.given: list[Column] = []
        for heading, samples, role in (*shown, ("teacher", teacher, "output")):
            files = self._files(samples, role)
            if len(files) == len(self.images):
                self.given.append((heading, files))
        self.students = [(name, self._files(found, "output")) for name, found in students]
        known = dict([*self.students, *self.given])
        first_of_all = [*self.given, *self.students][0][0]
        likely = ("ground truth", "input" if self.apart else "teacher", first_of_all)
        self.reference = next(name for name in likely if name in known)
        files = known[self.reference]
        self.boxes = {
            image: detailed(np.asarray(Image.open(file).convert("L"), dtype=np.float64))
            for image, file in files.items()
        }

    def figures(self, name: str, place: str, seeds: str) -> Iterator[Figure]:
        """Yield as many figures as the methods need."""
        count = -(-len(self.students) // METHODS)
        for number in range(count):
            some = self.students[number * METHODS : (number + 1) * METHODS]
            yield Figure(
                f"{name}-{number + 1}" if number else name,
                f"Details: {place}" + (f" ({number + 1} of {count})" if count > 1 else ""),
                CAPTION.format(reference=self.reference, seeds=seeds),
                self._draw([*self.given, *some]),
            )

    def _files(self, samples: Samples, role: str) -> dict[int, Path]:
        return {i: samples[i][role] for i in self.images if role in samples.get(i, {})}

    def _draw(self, columns: list[Column]) -> Drawing:
        step = TILE + GAP
        size = (step * len(columns) - GAP, 2 * step * len(self.images) - GAP)
        sheet = Image.new("RGB", size, "white")
        for number, (heading, files) in enumerate(columns):
            for row, image in enumerate(self.images):
                if image in files:
                    is_apart = number < len(self.given) and heading in self.apart
                    box = None if is_apart else self.boxes[image]
                    whole, part = _tiles(files[image], box)
                    sheet.paste(whole, (number * step, 2 * row * step))
                    if part is not None:
                        sheet.paste(part, (number * step, (2 * row + 1) * step - GAP // 2))
        inches = min(PAGE / len(columns), 1.2)
        width, head = inches * len(columns), 0.25
        height = width * sheet.height / sheet.width
        drawing = plt.figure(figsize=(width, height + head))
        axes = drawing.add_axes((0, 0, 1, height / (height + head)))
        axes.axis("off")
        axes.imshow(sheet, interpolation="none")
        for number, (heading, _) in enumerate(columns):
            text = shown(heading, int(inches / 0.06))
            axes.text(number * step + TILE / 2, -8, text, fontsize=8, ha="center", va="bottom")
        return drawing


def _tiles(file: Path, box: Box | None) -> tuple[Image.Image, Image.Image | None]:
    """Return an image with its framed window, and the window enlarged; without one, neither."""
    image = Image.open(file).convert("RGB")
    side = (TILE, TILE)
    whole = image.resize(side, Image.Resampling.LANCZOS)
    ImageDraw.Draw(whole).rectangle((0, 0, TILE - 1, TILE - 1), outline="lightgray")
    if box is None:
        return whole, None
    left, top, right, bottom = (
        round(at * TILE / length) for at, length in zip(box, image.size * 2, strict=True)
    )
    ImageDraw.Draw(whole).rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=3)
    part = image.crop(box).resize(side, Image.Resampling.NEAREST)
    ImageDraw.Draw(part).rectangle((0, 0, TILE - 1, TILE - 1), outline=FRAME, width=3)
    return whole, part


def _samples(folder: str) -> dict[str, Samples]:
    """Return direction -> image -> role -> file of one cell."""
    found: dict[str, Samples] = {}
    for (direction, image), files in sample_files(Path(folder)).items():
        found.setdefault(direction, {})[image] = files
    return found
