"""A bootstrap interval that keeps its promise with a handful of seeds."""

import numpy as np
from scipy import stats

from bnkit.report.statistics import student
from bnkit.report.statistics.student import LEVEL

RESAMPLES = 10_000


def interval(values):
    """95 % interval of the mean of `values`: a stretched percentile bootstrap.

    The plain percentile interval is far too narrow for a few values: of three, it covers the mean
    75 times in 100. Two things are missing: the resampled means spread by `sqrt((n - 1) / n)` too
    little, and their quantiles are those of a known deviation. So the distance of both ends from
    the mean is multiplied by `sqrt(n / (n - 1)) t / z`, with the 97.5 % quantiles of Student's t
    (n - 1 degrees of freedom) and of the normal distribution. With many values the factor is 1.
    (The methods of `scipy.stats.bootstrap` have no such correction: of three values, its BCa
    interval covers the mean 71 times in 100.)
    Simulated coverage with 3, 5 and 10 values: 93 to 96 % where they are normal or mildly skewed,
    about 90 % where they are exponential.

    Args:
        values: At least two finite numbers, one per seed.

    Returns:
        `(low, high)`; the same numbers for the same values. Equal values have an interval of width
        0.

    Raises:
        ValueError: Fewer than two values, or one that is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        valid = "two or more finite numbers in a row"
        raise ValueError(f"`values` must be {valid}. Received: values={values.tolist()}")
    count = len(values)
    chosen = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    mean = values.mean()
    ends = np.quantile(values[chosen].mean(axis=1) - mean, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = mean + stretch(count) * ends
    return float(low), float(high)


def stretch(count):
    """Factor on the distance of the percentile interval's ends from the mean of `count` values."""
    normal = stats.norm.ppf((1 + LEVEL) / 2)
    return float(np.sqrt(count / (count - 1)) * student.quantile(count) / normal)
