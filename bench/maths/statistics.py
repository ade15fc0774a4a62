"""Statistics of a few runs per method, paired by seed.

At one seed all methods start from the same student and see the same batches, so two methods are
compared by their differences at common seeds. A value that is missing, of a run that failed or
diverged for example, or that is not finite makes no pair; n says how many there were. Nothing
here assumes a normal distribution but `rise_p`, which says so.

Sources: Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets" (JMLR 2006) for
ranks and the critical difference; Agarwal et al., "Deep Reinforcement Learning at the Edge of the
Statistical Precipice" (NeurIPS 2021) for the probability of improvement; Holm (1979); Berger
(Technometrics 1982) for the intersection-union test.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from bench.maths.attainable import LEVEL

Values = npt.NDArray[np.float64]

MAX_FLIPS = 2**16  # sign flips are all taken up to 16 pairs, and drawn at random beyond
ROUNDING = 1e-9  # of the sum of all differences: sums that are as close tie
MAX_EXACT = 9  # pairs up to which all resamples of the bootstrap are taken
RANDOM = 9999  # resamples beyond


@dataclass(frozen=True)
class Comparison:
    """A method against another at common seeds; positive gains are better, whatever the metric."""

    n: int  # pairs
    mean: float  # gain; nan without a pair
    std: float  # of the gains, n - 1; nan below 2 pairs
    low: float  # bootstrap interval of the mean; nan below 2 pairs
    high: float
    p: float  # sign flips, two-sided; nan without a pair
    improvement: float  # probability that a run of the one beats a run of the other


def compare(new: pd.Series[float], base: pd.Series[float], better: str) -> Comparison:
    """Compare two methods from their values by seed; `better` is "higher" or "lower"."""
    pairs = pd.DataFrame({"new": new, "base": base}, dtype=float)
    pairs = pairs.loc[np.isfinite(pairs.to_numpy()).all(axis=1)]
    sign = 1.0 if better == "higher" else -1.0
    ours, theirs = sign * pairs["new"].to_numpy(), sign * pairs["base"].to_numpy()
    gains, n = ours - theirs, len(pairs)
    low, high = bootstrap(gains)
    return Comparison(
        n=n,
        mean=float(gains.mean()) if n else math.nan,
        std=float(gains.std(ddof=1)) if n > 1 else math.nan,
        low=low,
        high=high,
        p=sign_flip_p(gains),
        improvement=probability_of_improvement(ours, theirs),
    )


def sign_flip_p(differences: Values) -> float:
    """Return the two-sided p of a mean of zero, from all 2^n changes of sign; nan for none.

    Exact if the differences are symmetric about zero under the null hypothesis, which pairs of
    exchangeable runs are. Beyond 16 pairs 65,536 random changes stand in, always the same ones, and
    that of the differences themselves counts as one more. Sums that differ by rounding alone tie.
    """
    n = len(differences)
    if n < 2:
        return 1.0 if n else math.nan
    least = abs(differences.sum()) - ROUNDING * np.abs(differences).sum()
    if 2**n > MAX_FLIPS:
        signs = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (MAX_FLIPS, n))
        return float((1 + np.sum(np.abs(signs @ differences) >= least)) / (1 + MAX_FLIPS))
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= least))


def bootstrap(values: Values, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean; nan below 2 values.

    Up to 9 values it is exact: all n^n resamples count, as multisets with their multinomial
    weights. Beyond, 9,999 random ones, always the same. The interval says how far these seeds
    bear; with few it is too narrow (docs/statistics.md has its coverage).
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    if n > MAX_EXACT:
        found = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=RANDOM,
            method="percentile",
            confidence_level=1 - level,
            rng=0,
        ).confidence_interval
        return float(found.low), float(found.high)
    counts, weights = _resamples(n)
    means = counts @ values / n
    order = np.argsort(means, kind="stable")
    below = np.cumsum(weights[order])
    above = np.cumsum(weights[order[::-1]])
    low = means[order[np.searchsorted(below, level / 2)]]
    high = means[order[::-1][np.searchsorted(above, level / 2)]]
    return float(low), float(high)


@functools.cache
def _resamples(n: int) -> tuple[Values, Values]:
    """Return how often each multiset of n out of n holds each value, and its probability."""
    drawn = np.array(list(itertools.combinations_with_replacement(range(n), n)))
    counts = (drawn[:, :, None] == np.arange(n)).sum(axis=1).astype(float)
    ways = special.gammaln(n + 1) - special.gammaln(counts + 1).sum(axis=1)
    return counts, np.exp(ways - n * math.log(n))


def probability_of_improvement(ours: Values, theirs: Values) -> float:
    """Return the share of all pairs of runs in which ours is higher; ties count half."""
    if not len(ours) or not len(theirs):
        return math.nan
    higher = np.sign(ours[:, None] - theirs[None, :])
    return float((higher.mean() + 1) / 2)


def holm(p: npt.ArrayLike) -> Values:
    """Return Holm's adjusted p values, in the order given; nan (not tested) does not count."""
    given = np.asarray(p, dtype=float)
    order = np.argsort(given, kind="stable")  # nan last
    tested = int(np.isfinite(given).sum())
    factors = np.maximum(tested - np.arange(len(given)), 1)
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return adjusted


def best(values: pd.DataFrame, better: str, level: float = LEVEL) -> str | None:
    """Return the method that is significantly better than every other one, if there is one.

    Its mean is best, and against each other method sign flips at common seeds give p <= `level`.
    The claim is that it beats all of them, so that each p must be small and none needs a
    correction (an intersection-union test).

    Args:
        values: one column per method, one row per seed; nan, or not finite, where a run is lost.
        better: "higher" or "lower".
        level: of every comparison.
    """
    values = values.where(np.isfinite(values))
    means = values.mean()
    if len(means) < 2 or means.isna().all():
        return None
    first = str(means.idxmax() if better == "higher" else means.idxmin())
    sign = 1.0 if better == "higher" else -1.0
    for name in values.columns.drop(first):
        gains = (sign * (values[first] - values[name])).dropna().to_numpy()
        if not (gains.sum() > 0 and sign_flip_p(gains) <= level):
            return None
    return first


@dataclass(frozen=True)
class Ranks:
    """Methods ranked on several data sets; 1 is best, ties share the mean of their ranks."""

    mean: pd.Series[float]  # by method
    n: int  # data sets
    p: float  # Friedman's test that all methods rank alike; nan below 3 methods or 2 data sets
    critical: float  # Nemenyi: mean ranks that differ by more differ significantly; nan likewise


def ranks(values: pd.DataFrame, better: str, level: float = LEVEL) -> Ranks:
    """Rank methods over data sets.

    Args:
        values: one column per method, one row per data set; no nan.
        better: "higher" or "lower".
        level: of the critical difference.
    """
    n, k = values.shape
    ranked = values.rank(axis=1, ascending=better == "lower")
    p = critical = math.nan
    if k > 2 and n > 1:
        critical = critical_difference(k, n, level)
        tied = bool((ranked.nunique(axis=1) == 1).all())
        p = 1.0 if tied else float(stats.friedmanchisquare(*values.to_numpy().T).pvalue)
    return Ranks(ranked.mean(), n, p, critical)


def critical_difference(methods: int, places: int, level: float = LEVEL) -> float:
    """Return Nemenyi's critical difference of mean ranks."""
    quantile = stats.studentized_range.ppf(1 - level, methods, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(methods * (methods + 1) / (6 * places)))


def rise_p(differences: Values) -> float:
    """Return the one-sided p that paired differences have no mean above zero; nan if untold.

    Student's test, which takes the differences as normal: unlike sign flips it can tell something
    at p < 0.01 from four pairs. Below two there is no spread to judge by; without any spread the
    answer is certain.
    """
    if len(differences) < 2:
        return math.nan
    if np.ptp(differences) == 0:
        return float(differences[0] <= 0)
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(len(differences)))
    return float(stats.t.sf(t, len(differences) - 1))


def least_rise(spread: float, n: int, level: float) -> float:
    """Return the mean of n differences at which `rise_p` is `level`, given their deviation.

    If the true rise is as large, half of the samples show it.
    """
    return float(stats.t.isf(level, n - 1) * spread / math.sqrt(n))
