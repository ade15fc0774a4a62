"""Improved recall: how much of the real set the outputs reach."""

from __future__ import annotations

from bench.metrics._neighbours import FURTHER, LINE, MIDDLE, Neighbours


class Recall(Neighbours):
    """Fraction of the real images that lie in the ball of at least one output.

    The ball of an image reaches to its `neighbours`-th nearest other image of its own set, in the
    features of `features`. The value depends on the number of images in both sets.
    """

    label = "recall"
    presets = ("modern",)
    checks = {
        "seven in a line, and the same ten further on": (FURTHER, LINE, {"recall": 1 / 7}),
        "all outputs in the middle of the line": (MIDDLE, LINE, {"recall": 0.0}),
    }
