"""Improved precision: how many outputs look like real images."""

from __future__ import annotations

from bench.metrics._neighbours import FURTHER, LINE, MIDDLE, Neighbours


class Precision(Neighbours):
    """Fraction of the outputs that lie in the ball of at least one real image.

    The ball of an image reaches to its `neighbours`-th nearest other image of its own set, in the
    features of `features`. The value depends on the number of images in both sets.
    """

    label = "precision"
    presets = ("modern",)
    checks = {
        "seven in a line, and the same ten further on": (FURTHER, LINE, {"precision": 1 / 7}),
        "all outputs in the middle of the line": (MIDDLE, LINE, {"precision": 1.0}),
    }
