"""Student's t, for the mean of a few values."""

import numpy as np
from scipy import stats

LEVEL = 0.95


def quantile(count):
    """Two-sided 95 % quantile for the mean of `count` values; NaN for fewer than two.

    Args:
        count: A number, or an array of numbers.
    """
    return stats.t.ppf((1 + LEVEL) / 2, np.asarray(count) - 1)
