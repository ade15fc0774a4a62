"""Density: in how many real neighbourhoods an output lies."""

from __future__ import annotations

from bench.metrics._neighbours import FURTHER, LINE, MIDDLE, Neighbours


class Density(Neighbours):
    """Number of balls of real images that an output lies in, over `neighbours`, mean over outputs.

    One where the sets agree, more where outputs crowd into the densest parts. Unlike precision it
    is not moved by a single real outlier with a wide ball.

    The ball of an image reaches to its `neighbours`-th nearest other image of its own set, in the
    features of `features`. The value depends on the number of images in both sets.
    """

    label = "density"
    presets = ("modern",)
    checks = {
        "seven in a line, and the same ten further on": (FURTHER, LINE, {"density": 1 / 35}),
        "all outputs in the middle of the line": (MIDDLE, LINE, {"density": 1.4}),
    }
