"""Statistics of a few paired runs, against numbers computed by hand, by scipy and from papers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.maths import statistics as st
from bench.maths.attainable import least_p, seeds_needed

GAINS = np.array([1.0, 3.0, -2.0, 4.0])


def series(*values: float) -> pd.Series:  # type: ignore[type-arg]
    return pd.Series(values, index=range(len(values)), dtype=float)


def test_sign_flips_by_hand() -> None:
    """Of the 16 changes of sign of 1, 3, -2, 4 the sum is >= 6 in 3 (10, 8, 6) and <= -6 in 3."""
    assert st.sign_flip_p(GAINS) == 6 / 16
    assert st.sign_flip_p(np.full(8, 0.1)) == 2 / 256 == least_p(8)


def test_sums_that_differ_by_rounding_tie() -> None:
    """In tenths the gains are seven times 1 and once -1: of 256 sums 18 are as far from 0 as 6."""
    new = series(79.9, 79.7, 80.2, 79.4, 81.2, 78.9, 79.9, 80.4)
    base = series(79.8, 79.6, 80.1, 79.3, 81.3, 78.8, 79.8, 80.3)
    ties = sum(math.comb(8, ups) for ups in range(9) if abs(2 * ups - 8) >= 6)
    assert st.compare(new, base, "higher").p == ties / 256 == 18 / 256
    many = pd.concat([new, new, new], ignore_index=True)
    less = pd.concat([base, base, base], ignore_index=True)
    exact = sum(math.comb(24, ups) for ups in range(25) if abs(2 * ups - 24) >= 18) / 2**24
    assert st.compare(many, less, "higher").p == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_sign_flips_against_all_changes_of_sign(n: int) -> None:
    gains = np.random.default_rng(n).normal(0.5, 1, n).round(1)  # rounded: sums tie
    sums = [abs(np.dot(signs, gains)) for signs in itertools.product((-1, 1), repeat=n)]
    extreme = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-9)
    assert st.sign_flip_p(gains) == pytest.approx(extreme, abs=1e-12)


def test_many_pairs_are_drawn_at_random_and_repeat() -> None:
    """With 30 pairs the p of the t test is near that of the sign flips."""
    gains = np.random.default_rng(0).normal(0.3, 1, 30)
    assert st.sign_flip_p(gains) == st.sign_flip_p(gains)
    assert st.sign_flip_p(gains) == pytest.approx(stats.ttest_1samp(gains, 0).pvalue, rel=0.1)


def test_the_bootstrap_counts_every_resample() -> None:
    means = [np.mean(drawn) for drawn in itertools.product(GAINS, repeat=4)]
    low, high = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    assert st.bootstrap(GAINS) == pytest.approx((low, high))
    low, high = st.bootstrap(GAINS)
    assert st.bootstrap(-GAINS) == pytest.approx((-high, -low))


def test_the_exact_bootstrap_is_what_many_random_resamples_tend_to() -> None:
    gains = np.random.default_rng(3).normal(size=8)
    wanted = stats.bootstrap((gains,), np.mean, n_resamples=200_000, method="percentile", rng=1)
    assert st.bootstrap(gains) == pytest.approx(wanted.confidence_interval, abs=0.01)
    more = np.tile(gains, 2)  # beyond 9: random
    assert st.bootstrap(more) == st.bootstrap(more)


def test_values_of_one_seed_have_no_interval_and_p_1() -> None:
    one = st.compare(series(3.0), series(1.0), "higher")
    assert (one.n, one.mean, one.p, one.improvement) == (1, 2.0, 1.0, 1.0)
    assert math.isnan(one.std)
    assert math.isnan(one.low)


def test_only_common_seeds_pair_and_n_says_so() -> None:
    """Seed 1 is missing in one method, seed 3 diverged to nan, seed 4 to infinity."""
    new = pd.Series({0: 5.0, 1: 9.0, 2: 7.0, 3: math.nan, 4: math.inf, 5: 6.0})
    base = pd.Series({0: 4.0, 2: 4.0, 3: 1.0, 4: 1.0, 5: 1.0})
    found = st.compare(new, base, "higher")
    assert (found.n, found.mean, found.p) == (3, 3.0, 2 / 8)
    assert found.std == 2.0
    assert st.compare(new, base, "lower").mean == -3.0


def test_no_common_seed_is_no_number() -> None:
    found = st.compare(pd.Series({0: 1.0}), pd.Series({1: 1.0}), "higher")
    assert found.n == 0
    assert all(math.isnan(x) for x in (found.mean, found.p, found.low, found.improvement))


def test_all_equal_is_no_difference() -> None:
    found = st.compare(series(1, 2, 3), series(1, 2, 3), "lower")
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
    same = st.compare(series(2, 2, 2), series(2, 2, 2), "lower")
    assert same.improvement == 0.5


def test_probability_of_improvement_is_mann_whitneys_u() -> None:
    ours, theirs = np.array([1.0, 2, 2, 5]), np.array([2.0, 0, 3, 2])
    u = stats.mannwhitneyu(ours, theirs).statistic
    assert st.probability_of_improvement(ours, theirs) == u / 16


def test_holm_by_hand() -> None:
    """0.01 x 4, max(that, 0.02 x 3), max(that, 0.03 x 2), max(that, 0.04); nan is not counted."""
    assert st.holm([0.04, 0.01, math.nan, 0.03, 0.02])[[0, 1, 3, 4]] == pytest.approx(
        [0.06, 0.04, 0.06, 0.06]
    )
    assert np.isnan(st.holm([0.04, math.nan])[1])
    assert st.holm([0.4, 0.7]).tolist() == [0.8, 0.8]
    assert st.holm([0.9, 0.7]).tolist() == [1.0, 1.0]


def test_seeds_needed_is_the_first_number_that_can() -> None:
    """Seven methods at eight seeds cannot: 7 x 2 / 256 = 0.0547."""
    assert seeds_needed(1) == 6
    assert seeds_needed(7) == 9
    for tests in range(1, 40):
        n = seeds_needed(tests)
        assert tests * least_p(n) <= 0.05 < tests * least_p(n - 1)


def test_best_beats_every_other_method() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 3))
    values = pd.DataFrame(noise + np.arange(1.0, 4), columns=["a", "b", "c"])
    assert st.best(values, "higher") == "c"
    assert st.best(values, "lower") == "a"
    close = values.assign(d=values["c"] - np.array([1, 1, 1, 1, 1, -2]))
    assert st.best(close, "higher") is None  # beats a and b, not d
    assert st.best(values.iloc[:5], "higher") is None  # p is 0.0625 at least
    assert st.best(values[["a"]], "higher") is None
    assert st.best(values * math.nan, "higher") is None
    assert st.best(pd.DataFrame({"a": [1.0] * 6, "b": [1.0] * 6}), "higher") is None


def test_an_infinite_score_makes_no_other_method_best() -> None:
    """Seed 5 of `a` is no pair: five are left, which cannot show anything."""
    values = pd.DataFrame({"a": np.arange(6.0), "b": np.arange(6.0) + 1})
    assert st.best(values, "higher") == "b"
    for odd in (-math.inf, math.inf, math.nan):
        values.loc[5, "a"] = odd
        assert st.best(values, "higher") is None
    values.loc[:, "a"] = -math.inf
    assert st.best(values, "higher") is None


def test_best_errs_no_more_often_than_its_level() -> None:
    """Two equal methods far ahead of a third are the worst case: either one may win by chance."""
    draw = np.random.default_rng(0)
    tables = [
        pd.DataFrame(draw.normal(size=(8, 3)) - [0, 0, 9], columns=list("abc")) for _ in range(300)
    ]
    wrong = sum(st.best(table, "higher") is not None for table in tables)
    assert 3 <= wrong <= 27  # 15 expected; binomial, 3 standard deviations


def test_ranks_of_demsars_example() -> None:
    """Table 6 of Demšar (2006): 14 data sets, 4 variants of C4.5; mean ranks and Friedman's 9.28.

    Its ranks tell two rounded values of .975 apart, which .9751 stands for.
    """
    text = """.763 .768 .771 .798  .599 .591 .590 .569  .954 .971 .968 .967  .628 .661 .654 .657
              .882 .888 .886 .898  .936 .931 .916 .931  .661 .668 .609 .685  .583 .583 .563 .625
              .775 .838 .866 .875  1.00 1.00 1.00 1.00  .940 .962 .965 .962  .619 .666 .614 .669
              .972 .981 .9751 .975  .957 .978 .946 .970"""
    values = pd.DataFrame(np.array(text.split(), dtype=float).reshape(14, 4))
    found = st.ranks(values, "higher")
    assert found.mean.to_numpy() == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.n == 14
    corrected = 9.28 / (1 - (60 + 3 * 6) / (14 * (4**3 - 4)))  # one tie of four, three of two
    assert stats.chi2.isf(found.p, 3) == pytest.approx(corrected, abs=0.01)
    assert found.critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_demsars_table_5(methods: int, q: float) -> None:
    found = st.critical_difference(methods, 6)
    assert found == pytest.approx(q * math.sqrt(methods * (methods + 1) / 36), abs=1e-3)


def test_ranks_of_ties_and_of_too_little() -> None:
    same = st.ranks(pd.DataFrame(np.ones((3, 3))), "lower")
    assert (same.p, *same.mean) == (1.0, 2.0, 2.0, 2.0)
    for values in (np.ones((1, 3)), np.ones((5, 2))):
        assert math.isnan(st.ranks(pd.DataFrame(values), "lower").critical)


def test_a_rise_needs_spread_to_be_judged() -> None:
    assert math.isnan(st.rise_p(np.array([2.0])))
    assert st.rise_p(np.array([2.0, 2.0])) == 0.0
    assert st.rise_p(np.array([0.0, 0.0])) == 1.0
    found = st.rise_p(GAINS)  # mean 1.5, deviation sqrt(7): t = 1.134 with 3 degrees of freedom
    assert found == pytest.approx(stats.t.sf(3 / math.sqrt(7), 3))
    assert found == pytest.approx(stats.ttest_1samp(GAINS, 0, alternative="greater").pvalue)
