"""One method against others as tables: what is printed, and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.compare.methods import Cost, Line
from bench.contracts.report import Bold, Table
from bench.maths.attainable import LEVEL


def quality_table(
    lines: Sequence[Line], new: str, bases: Sequence[str], ports: Mapping[str, str]
) -> Table:
    """Return the comparison as a table; with several others, each has its line."""
    block, several = [], len(bases) > 1
    marked = {name: f"{name} †" if name in ports else name for name in (new, *bases)}
    for line in lines:
        c, digits = line.found, line.digits
        label = f"{line.label} [{line.unit}]" if line.unit else line.label
        row = [line.place, label, *([marked[line.against]] if several else [])]
        row += [_text(line.new, f"z.{digits}f"), _text(line.base, f"z.{digits}f")]
        interval = f"[{c.low:+z.{digits}f}, {c.high:+z.{digits}f}]" if c.n > 1 else "—"
        row += [_text(c.mean, f"+z.{digits}f"), interval, _small(line.image_error, digits)]
        row += [_pairs(line), _text(line.p_holm, ".4f")]
        decided = line.verdict in ("better", "worse")
        block.append([*row, Bold(line.verdict) if decided else line.verdict])
    family = "the places and the other methods; a mean over the places, over these alone"
    if not several:
        family = "the places; the mean over the places is one question and stands alone"
    caption = (
        "A gain is positive where it is better; its mean over common seeds (n, of those that were "
        "asked for, with what became of the others), with the bootstrap interval. Better or worse: "
        f"p ≤ {LEVEL} by sign flips, two-sided, after Holm over {family}. Among "
        "survivors: the method that is better has lost seeds, which are not in its mean. ± images: "
        "standard error of the gain over the test images, with these seeds; interval and p are "
        "over seeds, with these images."
    )
    caption += "".join(f" † {port}." for port in dict.fromkeys(ports.values()))
    others = ["Against", marked[new], "Other"] if several else [marked[new], marked[bases[0]]]
    head = ["Data", "Metric", *others, "Gain", "95 % interval", "± images", "n", "p (Holm)"]
    head.append("Verdict")
    title = f"{new} against {', '.join(bases)}"
    return Table("compare", title, caption, head, [block], _untold(lines))


def _untold(lines: Sequence[Line]) -> list[str]:
    """Say where a difference is smaller than its sampling error over images."""
    found = []
    for line in lines:
        if line.over_images and not line.is_told_apart:
            gain, error = (f"{x:z.{line.digits}f}" for x in (line.found.mean, line.image_error))
            images = len(line.over_images.names)
            found.append(
                f"{line.place}, {line.label}: a gain of {gain} with a sampling error of {error}: "
                f"not told apart by these {images} images."
            )
    return found


def images_table(lines: Sequence[Line], new: str, base: str) -> Table:
    """Return where two methods differ most, image by image."""
    blocks = []
    for line in lines:
        if line.over_images and line.over_images.is_each:
            over = line.over_images
            block: list[list[str]] = []
            for place in over.furthest():
                values = (over.new[place], over.base[place])
                first = ["", ""] if block else [line.place, line.label]
                block.append(
                    [*first, over.names[place], *(f"{x:z.{line.digits}f}" for x in values)]
                )
            blocks.append(block)
    caption = (
        "The test images where the two differ most, by every metric that is a mean over images; "
        "means over common seeds."
    )
    return Table(
        "images", "Image by image", caption, ["Data", "Metric", "Image", new, base], blocks
    )


def _pairs(line: Line) -> str:
    """Return the number of pairs, with what became of the others."""
    if line.found.n == line.seeds:
        return str(line.seeds)
    said = [
        f"{method} {', '.join(f'{n} {status}' for status, n in lost.items())}"
        for method, lost in line.lost.items()
        if lost
    ]
    return f"{line.found.n}/{line.seeds} ({'; '.join(said)})"


def _small(error: float, digits: int) -> str:
    """Return an error to some places, or to its first digit where these would say 0."""
    return _text(error, f".{digits}f" if round(error, digits) else ".1g")


def _text(value: float, form: str) -> str:
    return "—" if np.isnan(value) else f"{value:{form}}"


def cost_table(costs: Sequence[Cost], new: str, bases: Sequence[str]) -> Table:
    """Return what the methods cost as a table; with several others, each has its line."""
    several = len(bases) > 1
    block = [
        [
            cost.place,
            cost.what,
            *([cost.against] if several else []),
            *(f"{value:,.4g} {cost.unit}".rstrip() for value in (cost.new, cost.base)),
            f"{cost.new / cost.base:.2f}×" if cost.base and cost.comparable else "—",
        ]
        for cost in costs
    ]
    caption = (
        "Training: mean over the seeds at which both ran on one kind of device, of a cell's equal "
        "share of the time of the cohort that it was trained in. Cohorts differ in size, so that "
        "two such times have no ratio."
    )
    others = ["Against", new, "Other"] if several else [new, *bases]
    return Table("cost", "What it costs", caption, ["Data", "Cost", *others, "Ratio"], [block])
