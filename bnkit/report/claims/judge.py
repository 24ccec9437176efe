"""From one number per seed to a verdict."""

import numpy as np

from bnkit.report.claims.claim import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from bnkit.report.statistics import bootstrap, student

LEAST_SEEDS = 3


def verdict(values, limits, question):
    """The verdict, and why.

    Args:
        values: One finite number per seed.
        limits: The `Limits` that decide.
        question: The `Question` that is asked.
    """
    if len(values) < LEAST_SEEDS:
        count = "1 seed" if len(values) == 1 else f"{len(values) or 'no'} seeds"
        return INCONCLUSIVE, f"{count} to compare, and a verdict needs {LEAST_SEEDS}"
    if question.largest:
        return _by_largest(values, limits)
    low, high = interval(values, question)
    if low > limits.above:
        return SUPPORTED, f"the interval is above {limits.above:.3g}"
    if high < limits.below:
        return CONTRADICTED, f"the interval is below {limits.below:.3g}"
    if not any(values):
        return INCONCLUSIVE, question.tie
    if limits.above == limits.below:
        return INCONCLUSIVE, f"the interval contains {limits.above:.3g}"
    return INCONCLUSIVE, (
        f"the interval is neither above {limits.above:.3g} nor below {limits.below:.3g}"
    )


def effect(values, question):
    """Mean of the values, or the largest; None without any."""
    if not values:
        return None
    return float(max(values) if question.largest else np.mean(values))


def interval(values, question):
    """Bootstrap interval of the mean; None of a largest value, and of too few seeds."""
    if question.largest or len(values) < LEAST_SEEDS:
        return None
    return bootstrap.interval(values)


def p_value(values, limits, question):
    """p-value of the paired t-test that the mean is within the limits, which include themselves.

    None of a largest value, of too few seeds, and of seeds that are all equal.
    """
    if question.largest or len(values) < LEAST_SEEDS:
        return None
    return student.p_value(values, _within(values, limits))


def more_seeds(values, limits, question):
    """How many seeds would decide at the spread that was seen, and that in words.

    Returns:
        `(number, words)`; the number is None where none is enough, and both are None of a largest
        value and of too few seeds.
    """
    if question.largest or len(values) < LEAST_SEEDS:
        return None, None
    distance = abs(float(np.mean(values)) - _within(values, limits))
    if not distance:
        return None, "no number of seeds would decide"
    number = student.seeds_to_decide(values, distance)
    count = f"more than {student.MOST_SEEDS}" if number is None else number
    return number, f"{count} seeds would decide"


def _within(values, limits):
    """The mean, or the limit that it has passed."""
    return float(np.clip(np.mean(values), limits.below, limits.above))


def _by_largest(values, limits):
    if max(values) < limits.above:
        return SUPPORTED, f"below {limits.above:g} at every seed"
    if min(values) > limits.below:
        return CONTRADICTED, f"above {limits.below:g} at every seed"
    return INCONCLUSIVE, f"below {limits.above:g} at some seeds only"
