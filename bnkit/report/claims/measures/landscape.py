"""How rough the landscape along the gradient is."""

from bnkit.report.claims.measures.comparable import common_captures, require_trained
from bnkit.report.claims.measures.ratios import median_log_ratio, one_log_ratio


def loss_range(one, other):
    """Median log ratio of the ranges of the loss along the gradient, after the start."""
    require_trained(one)
    require_trained(other)
    return _after_start(one, other, one.loss_range, other.loss_range)


def gradient_change(one, other):
    """Median log ratio of the largest changes of the gradient, after the start."""
    require_trained(one)
    require_trained(other)
    return _after_start(one, other, one.gradient_change, other.gradient_change)


def peak_smoothness(one, other):
    """Log ratio of the largest effective smoothness after the start."""
    require_trained(one)
    require_trained(other)
    after = max(one.early, other.early)
    first, second = common_captures(one.smoothness, other.smoothness, after)
    return one_log_ratio(first.max(), second.max())


def first_smoothness(one, other):
    """Log ratio of the effective smoothness at step 0."""
    first, second = common_captures(one.smoothness, other.smoothness, until=1)
    return one_log_ratio(first.max(), second.max())


def early_smoothness(one, other):
    """Log ratio of the largest effective smoothness of the start, without step 0."""
    until = min(one.early, other.early)
    first, second = common_captures(one.smoothness, other.smoothness, 1, until)
    return one_log_ratio(first.max(), second.max())


def _after_start(one, other, first, second):
    after = max(one.early, other.early)
    return median_log_ratio(*common_captures(first, second, after))
