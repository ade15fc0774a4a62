"""Error per frequency band: by method, by model size as in WKD's Figure 1, and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bench.contracts.report import Figure, Report, Rows, Table
from reports._format import (
    SIZE,
    Note,
    marks,
    merged,
    origins,
    places,
    ports,
    protocols,
    size,
    spread,
)
from reports._select import finite, places_by_size, seeds_note, widest_teacher
from reports._style import MARKERS, TEACHER, Panel, Style, legend, pages, styles

Found = list[tuple[str, pd.DataFrame, pd.DataFrame]]  # heading, entries, scores

TITLE = "Error by frequency band"
SPREAD = "Points are means over seeds, bars their range."
CAPTION = (
    "Normalised L1 distance to the ground truth per band of a 3-level Haar transform (0 is "
    "perfect, 1 is an output without that band), LL3 coarsest. First letter: along the width, "
    "second: along the height, L low and H high pass."
)
BY_SIZE = (
    "Students without a teacher by width, and the teacher, the widest: what a small model loses by "
    "band, as in WKD's Figure 1."
)


class BandErrors(Report):
    """Bands on x; one line per method, or per width of the control."""

    order = 20

    def make(self, rows: Rows) -> Iterator[Table | Figure]:
        """Yield the figures and the table where band errors were scored."""
        if rows.scores.empty:
            return
        scores = finite(rows.scores[rows.scores["metric"] == "band_error"])
        yield from _by_method(rows, scores)
        yield from _by_size(rows, scores)
        found = [
            (heading, entries, mine[(mine["metric"] == "band_error") & mine["value"].notna()])
            for heading, entries, mine in places(rows)
        ]
        found = [(heading, entries, mine) for heading, entries, mine in found if len(mine)]
        if found:
            notes = [note for heading, _, mine in found for note in protocols(mine, heading)]
            yield _table(rows, found, notes)


def _by_method(rows: Rows, scores: pd.DataFrame) -> Iterator[Figure]:
    looks = styles(rows)
    panels = []
    for place in places_by_size(rows, scores):
        lines = [(place.scores[place.scores["method"] == m], look) for m, look in looks.items()]
        lines = [(mine, look) for mine, look in lines if len(mine)]
        draw = partial(_bands, lines=[*lines, (place.teacher, TEACHER)])
        notes = [
            seeds_note(place.entries, place.heading),
            *protocols(pd.concat([place.teacher, place.scores]), place.heading),
        ]
        panels.append(Panel(place.heading, notes, draw))
    handles = legend({"teacher": TEACHER, **looks}, {"teacher", *scores["method"]})
    yield from pages("band_error", TITLE, f"{CAPTION} {SPREAD}", panels, handles)


def _by_size(rows: Rows, scores: pd.DataFrame) -> Iterator[Figure]:
    """Yield one panel per place where a control and another size are, one line per width."""
    controls = scores[scores["is_control"] & (scores["role"] == "student")]
    controls = controls[controls["method"].isin(controls["method"].head(1))]
    widths = sorted(controls["width"].unique())
    colours = sns.color_palette("viridis_r", len(widths) + 1)[1:]  # the first is too light
    looks = {
        f"width {width}": Style(colour, MARKERS[number % len(MARKERS)], "-")
        for number, (width, colour) in enumerate(zip(widths, colours, strict=True))
    }
    panels = []
    for judge, mine in controls.groupby("discriminator_width"):
        found = pd.concat([mine, scores[scores["role"] == "teacher"]])
        for heading, entries, both in places(replace(rows, scores=found)):
            students, teacher = both[both["role"] == "student"], widest_teacher(both)
            lines = [(g, looks[f"width {w}"]) for w, g in students.groupby("width", sort=True)]
            if not lines or len(lines) + bool(len(teacher)) < 2:
                continue
            used = entries[entries["method"].isin(mine["method"]) & (entries["role"] == "student")]
            used = used[used["discriminator_width"] == judge]
            several = controls["discriminator_width"].nunique() > 1
            title = heading + (f", D {judge}" if several else "")
            notes = [seeds_note(used, title), *protocols(both, heading)]
            panels.append(Panel(title, notes, partial(_bands, lines=[*lines, (teacher, TEACHER)])))
    handles = legend({"teacher": TEACHER, **looks}, {"teacher", *looks})
    title = f"{TITLE} and model size"
    yield from pages("band_error_by_size", title, f"{BY_SIZE} {CAPTION} {SPREAD}", panels, handles)


def _bands(axes: Axes, lines: list[tuple[pd.DataFrame, Style]]) -> None:
    """Draw one line per frame of scores, side by side within each band."""
    bands = list(dict.fromkeys(name for scores, _ in lines for name in scores["name"]))
    for number, (scores, look) in enumerate(lines):
        values = scores.groupby("name")["value"]
        found = values.agg(["mean", "min", "max"]).reindex(bands)
        apart = 0.6 * ((number + 0.5) / len(lines) - 0.5)
        x = [place + apart for place in range(len(bands))]
        axes.plot(x, found["mean"], **look.curve())
        axes.vlines(x, found["min"], found["max"], color=look.colour, lw=0.8)
    axes.set_xticks(range(len(bands)), bands)
    axes.set(xlabel="frequency band", ylabel="normalised L1 error", ylim=(0, None))
    axes.grid(axis="y", lw=0.3)


def _table(rows: Rows, found: Found, notes: list[Note]) -> Table:
    bands = list(dict.fromkeys(name for _, _, scores in found for name in scores["name"]))
    blocks = []
    for heading, entries, scores in found:
        block: list[list[str]] = []
        groups = entries.groupby(["role", *SIZE, "method"], sort=False)
        for (_, width, judge, method), seeds in groups:
            mine = scores[scores["key"].isin(seeds["key"])].drop_duplicates(["key", "name"])
            runs = mine.astype({"value": float}).pivot(index="key", columns="name", values="value")
            values = runs.reindex(columns=bands)
            cells = [spread(values[band].dropna(), len(seeds), 2) for band in bands]
            first = heading if not block else ""
            block.append([first, size(width, judge, rows), f"{method}{marks(seeds)}", *cells])
        blocks.append(block)
    return Table(
        "band_error",
        f"{TITLE}, in numbers",
        CAPTION,
        ["Data", "Width", "Method", *bands],
        blocks,
        merged([*notes, *ports(rows.entries), *origins(rows.entries)]),
    )
