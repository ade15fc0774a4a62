"""What so many seeds can show at best: the smallest p that sign flips of pairs can give.

Imports nothing, so that a plan says what its seeds are too few for before anything heavy is there.
"""

from __future__ import annotations

import math

LEVEL = 0.05  # of every test, and 1 - the coverage of every interval


def least_p(n: int) -> float:
    """Return the smallest two-sided p that sign flips of n pairs can give: 2 / 2^n."""
    return min(1.0, 0.5 ** (n - 1))


def least_holm_p(n: int, tests: int) -> float:
    """Return the smallest p of n pairs after Holm over several tests, if no other one is as small.

    That is the least of the first one that Holm takes up; if it is above a level, nothing is below.
    """
    return min(1.0, max(tests, 1) * least_p(n))


def seeds_needed(tests: int, level: float = LEVEL) -> int:
    """Return from how many seeds on one of several tests can be significant after Holm."""
    return math.ceil(math.log2(2 * max(tests, 1) / level))
