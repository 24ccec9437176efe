"""Student's t, for the mean of a few values."""

import math

import numpy as np
from scipy import stats

LEVEL = 0.95
# Nobody trains more seeds than these to decide a claim.
MOST_SEEDS = 100
# Values that differ by less than this share of the largest are equal but for rounding.
ROUNDING = 1e-12


def quantile(count):
    """Two-sided 95 % quantile for the mean of `count` values; NaN for fewer than two.

    Args:
        count: A number, or an array of numbers.
    """
    return stats.t.ppf((1 + LEVEL) / 2, np.asarray(count) - 1)


def p_value(values, limit):
    """Two-sided p-value of the t-test that the mean of the values is `limit`.

    Of differences between two arms, one for each seed, it is the paired t-test.

    Args:
        values: At least two finite numbers.
        limit: A number.

    Returns:
        A number, or None where all values are equal: the test needs a spread.
    """
    if _are_equal(values):
        return None
    return float(stats.ttest_1samp(values, limit).pvalue)


def seeds_to_decide(values, distance):
    """How many values it takes until the 95 % interval of the mean ends before `distance` from it.

    It is the smallest `n` with `quantile(n) s / sqrt(n) < distance`: should the mean and the
    deviation `s` of more values be those of the values that there are.

    Args:
        values: At least two finite numbers, which have not decided.
        distance: Of their mean from the limit.

    Returns:
        A number above that of the values; None where no number up to `MOST_SEEDS` would do.
    """
    counts = np.arange(len(values) + 1, MOST_SEEDS + 1)
    half = quantile(counts) * np.std(values, ddof=1) / np.sqrt(counts)
    enough = counts[half < distance]
    return int(enough[0]) if len(enough) else None


def _are_equal(values):
    return math.isclose(min(values), max(values), rel_tol=ROUNDING, abs_tol=0.0)
