"""The contract of a report: one table or figure per file in `reports/`, made from rows alone."""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure as Drawing
from PIL import Image

MOST_PIXELS = 2**24  # of a sample that is shown
PLACE = ("dataset", "direction", "architecture")  # what one block or panel is about


@dataclass(frozen=True)
class Rows:
    """All that a report knows."""

    suite: str
    question: str
    entries: pd.DataFrame  # one row per place of the matrix: axes, status, reason, facts
    scores: pd.DataFrame  # one row per value: axes, metric, name, value, protocol
    snapshots: pd.DataFrame = field(default_factory=pd.DataFrame)  # the same, of steps on the way
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)  # axes, step, term, value, thinned
    references: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The scores of real images beside samples, as rows like `scores`, of role "reference"."""
    untrained: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What `scores` does not hold: scores of images by students that did not train, which may be
    shown but rank nothing (bench/contracts/verdict.py)."""
    hidden: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Scores of metrics that were not chosen to be shown; whether a cell is done rests on them."""
    caveats: Sequence[str] = ()
    """What a reader must know of the suite's numbers as a whole, wherever any of them stand."""

    @functools.cached_property
    def has_several_discriminators(self) -> bool:
        """Whether the students' discriminators are of several widths."""
        students = self.entries[self.entries["role"] == "student"]
        return bool(students["discriminator_width"].nunique() > 1)


def lacking(rows: Rows) -> dict[str, str]:
    """Return cell -> "without FID, SWD" of those that trained and lack scores they should have."""
    every = (rows.scores, rows.untrained, rows.hidden)
    found: dict[str, dict[str, None]] = {}
    for frame in (frame for frame in every if len(frame)):
        for key, label in frame.loc[frame["is_open"], ["key", "label"]].to_numpy():
            found.setdefault(key, {})[label] = None
    return {key: f"without {', '.join(labels)}" for key, labels in found.items()}


def tally(rows: Rows) -> dict[str, int]:
    """Return how the entries stand -> how many; "done" are only those that lack no score."""
    missing = lacking(rows)
    said = [
        f"{'given' if origin else 'trained'}, {missing[key]}"
        if status == "done" and key in missing
        else status
        for key, status, origin in rows.entries[["key", "status", "origin"]].to_numpy()
    ]
    return {str(text): int(count) for text, count in pd.Series(said).value_counts().items()}


class Bold(str):
    """A table's cell in bold type; its text is escaped as any other's."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the cell for a template, which asks text that is not plain for this."""
        return f"<b>{html.escape(self)}</b>"


class Note(str):
    """What holds of something at some places, as text: `about: said.`."""

    __slots__ = ("about", "said")
    about: str  # as in "PSNR, SSIM (photo_edges, unet)"
    said: str  # a protocol, for one: a page that has said it refers back to it

    def __new__(cls, about: str, said: str) -> Note:
        """Return the note as text."""
        note = super().__new__(cls, f"{about}: {said}.")
        note.about, note.said = about, said
        return note


@dataclass(frozen=True)
class Answer:
    """A sentence that answers a question of the suite, never stronger than the tables are."""

    about: str  # the place, and the metric
    said: str


@dataclass(frozen=True)
class Table:
    """Cells of text, `Bold` where they stand out, in blocks; every format is written from this."""

    name: str  # of the files
    title: str
    caption: str  # what a column means
    header: Sequence[str]
    blocks: Sequence[Sequence[Sequence[str]]]  # rules stand between blocks
    notes: Sequence[str] = ()  # under which protocol each column was made
    brief: str = ""  # what a reader must know on one line, where the caption stands elsewhere
    subject: str = "Method"  # heading of the column that says what a row is of
    idle: str = ""  # why the table can show nothing as yet; a page folds it away


@dataclass(frozen=True)
class Figure:
    """A drawing and what it shows."""

    name: str
    title: str
    caption: str
    drawing: Drawing
    notes: Sequence[str] = ()
    frames: Sequence[tuple[str, Sequence[Path]]] = ()  # heading, PNGs: what pages show


def sample_files(folder: Path) -> dict[tuple[str, int], dict[str, Path]]:
    """Return (direction, index) -> role -> file of a cell's samples.

    Roles are in the order in which a sheet shows them: what an output was made from, as `input`;
    `output`; and where there is a ground truth, `target`.
    """
    found: dict[tuple[str, int], dict[str, Path]] = {}
    for path in sorted(folder.glob("*-*-*.png"), key=lambda p: (_last(p.stem), p.name)):
        direction, index, role = path.stem.rsplit("-", 2)
        if index.isdecimal() and is_whole(path):
            found.setdefault((direction, int(index)), {})[role] = path
    return {place: row for place, row in sorted(found.items()) if "output" in row}


def is_whole(sample: Path) -> bool:
    """Say whether a sample can be shown: a PNG that is not damaged, nor of absurd size."""
    try:
        return _is_whole(sample, sample.stat().st_mtime_ns)
    except OSError:
        return False


@functools.lru_cache(maxsize=100_000)  # two reports show the same files
def _is_whole(sample: Path, changed: int) -> bool:
    try:
        with Image.open(sample, formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return False
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _last(stem: str) -> int:
    """Return where a sample's role stands: 0 for what it is made from, which is sorted by name."""
    return {"output": 1, "target": 2}.get(stem.rpartition("-")[2], 0)


class Report:
    """Makes the tables, figures or answers of one kind; none where the rows allow none."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1
    order: ClassVar[int] = 100  # position on the page

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = self.defaults if params is None else params

    def make(self, rows: Rows) -> Iterator[Table | Figure | Answer]:
        """Yield what the rows allow.

        Raises:
            ReportError: rows that cannot stand in one column.
        """
        raise NotImplementedError
