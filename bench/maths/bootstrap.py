"""How far a score would move if other test images had been drawn: its sampling error.

A score that is a mean over images has the standard error of that mean. Any other one is computed
again from resamples: as many images as there are, drawn from them with replacement. The standard
deviation over resamples estimates that of the score over test sets of the same size (Efron, Annals
of Statistics 1979; chapter 6 of Efron & Tibshirani 1993). Which images a resample holds depends on
their number alone: two methods that are held against the same images see the same resamples, and
the deviation of the differences is the error of the difference.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.maths.seed import derive

Values = NDArray[np.float64]
Counts = NDArray[np.int64]  # [R, images]: how often a resample holds an image; rows add up to them

RESAMPLES = 200


class Draws(NamedTuple):
    """Resamples of the outputs and of the real images that they are held against."""

    outputs: Counts  # [R, N]
    real: Counts  # [R, M]


def draw(outputs: int, real: int, *, paired: bool = False) -> Draws:
    """Draw 200 resamples of so many images; always the same.

    Args:
        outputs: how many there are.
        real: likewise; 0: they play no part.
        paired: whether output i and real image i are of one scene. Then a resample holds both
            equally often; else the two sets are drawn independently.
    """
    of_outputs = _counts(outputs, "outputs")
    return Draws(of_outputs, of_outputs if paired and outputs == real else _counts(real, "real"))


def _counts(images: int, whose: str) -> Counts:
    if not images:
        return np.zeros((RESAMPLES, 0), np.int64)
    random = np.random.default_rng(derive("resamples", whose, images))
    chances = np.full(images, 1 / images)
    return random.multinomial(images, chances, size=RESAMPLES).astype(np.int64)


def error_of_mean(values: Values) -> float:
    """Return the standard error of the mean of [N] values; nan below two."""
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def error_of_resamples(values: Values) -> float:
    """Return the standard deviation over [R] resampled values."""
    return float(values.std(ddof=1))
