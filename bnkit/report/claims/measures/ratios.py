"""Ratios of values that may be 0, infinite or NaN."""

import math

import numpy as np

from bnkit.report.statistics.pairing import NotComparable

# A ratio beyond a million counts as a million: one infinity must not decide the mean over seeds.
LARGEST = math.log(1e6)


def log_ratio(above, below):
    """`ln(above / below)` of values >= 0, within ±`LARGEST`.

    0 where both are 0; NaN where both are infinite or one is NaN.
    """
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(above) - np.log(below)
    ratio = np.where((above == 0) & (below == 0), 0.0, ratio)
    return np.clip(ratio, -LARGEST, LARGEST)


def median_log_ratio(above, below):
    """Median of the log ratios that are not NaN."""
    ratios = log_ratio(above, below)
    ratios = ratios[~np.isnan(ratios)]
    if not len(ratios):
        raise NotComparable(
            "no capture has a finite value in either arm", brief="no finite value in either arm"
        )
    return float(np.median(ratios))


def one_log_ratio(above, below):
    """Log ratio of two numbers."""
    ratio = float(log_ratio(above, below))
    if math.isnan(ratio):
        raise NotComparable("the ratio is NaN: neither value is finite", brief="no finite ratio")
    return ratio
