"""Coverage: how many real neighbourhoods hold an output."""

from __future__ import annotations

from bench.metrics._neighbours import FURTHER, LINE, MIDDLE, Neighbours


class Coverage(Neighbours):
    """Fraction of the real images whose ball holds at least one output.

    The ball of an image reaches to its `neighbours`-th nearest other image of its own set, in the
    features of `features`. The value depends on the number of images in both sets.
    """

    label = "coverage"
    presets = ("modern",)
    checks = {
        "seven in a line, and the same ten further on": (FURTHER, LINE, {"coverage": 1 / 7}),
        "all outputs in the middle of the line": (MIDDLE, LINE, {"coverage": 1.0}),
    }
