"""A bootstrap interval that keeps its promise with a handful of seeds."""

import statistics

import numpy

from bnkit.report.statistics import arms

RESAMPLES = 10_000
LEVEL = 0.95


def interval(values):
    """95 % interval of the mean of `values`: a stretched percentile bootstrap.

    The plain percentile interval is far too narrow for a few values: of three, it covers the mean
    75 times in 100. Two things are missing: the resampled means spread by `sqrt((n - 1) / n)` too
    little, and their quantiles are those of a known deviation. So the distance of both ends from
    the mean is multiplied by `sqrt(n / (n - 1)) t / z`, with the 97.5 % quantiles of Student's t
    (n - 1 degrees of freedom) and of the normal distribution. With many values the factor is 1.
    Simulated coverage with 3, 5 and 10 values: 93 to 96 % where they are normal or mildly skewed,
    about 90 % where they are exponential.

    Args:
      values: at least two finite numbers, one per seed.

    Returns:
      `(low, high)`; the same numbers for the same values. Equal values have an interval of width 0.

    Raises:
      ValueError: fewer than two values, or one that is not finite.
    """
    values = numpy.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not numpy.isfinite(values).all():
        valid = "two or more finite numbers in a row"
        raise ValueError(f"`values` must be {valid}. Received: values={values.tolist()}")
    count = len(values)
    chosen = numpy.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    mean = values.mean()
    ends = numpy.quantile(values[chosen].mean(axis=1) - mean, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = mean + stretch(count) * ends
    return float(low), float(high)


def stretch(count):
    """Factor on the distance of the percentile interval's ends from the mean of `count` values."""
    student = arms.T_95[min(count - 2, len(arms.T_95) - 1)]
    normal = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    return float(numpy.sqrt(count / (count - 1)) * student / normal)
