"""How fast and how well the arms train, and up to which learning rate."""

import math

from bnkit.report.claims.measures.comparable import require_trained
from bnkit.report.claims.traces import final
from bnkit.report.statistics.pairing import NotComparable


def training_gain(one, other):
    """Mean difference of performance over all common steps: between the areas under the curves."""
    if not (one.trained or other.trained):
        raise NotComparable(
            f"neither norm={one.norm} nor norm={other.norm} trained", brief="neither trained"
        )
    first, second = _on_common_steps(one, other)
    return float((first - second).mean())


def final_difference(one, other):
    """Difference of final performance; `other` must have trained."""
    require_trained(other, "to train as well as it says nothing")
    return final_gain(one, other)


def final_gain(one, other):
    """Difference of final performance, whether or not `other` has trained."""
    first, second = _on_common_steps(one, other)
    return final(first) - final(second)


def progress_lost(one, other):
    """Share of the progress of `other` that `one` does not make; `other` must have trained."""
    require_trained(other, "there was nothing to stop")
    if not (one.ended or one.trained):
        raise NotComparable(f"norm={one.norm} had not ended", brief="had not ended", norm=one.norm)
    return 1 - one.progress / other.progress


def largest_lr(ones, others):
    """log2 ratio of the largest learning rates, of those measured for both arms, that train.

    An arm that trains at none counts with the smallest of them: towards no difference.
    """
    first, second = _trained_by_lr(ones), _trained_by_lr(others)
    measured = sorted(set(first) & set(second))
    if len(measured) < 2:
        raise NotComparable(
            "fewer than two learning rates were measured for both arms",
            brief="fewer than two common learning rates",
        )
    if not any(arm[lr] for arm in (first, second) for lr in measured):
        raise NotComparable(
            "neither arm trained at any measured learning rate", brief="neither trained"
        )
    one, other = (
        max([lr for lr in measured if arm[lr]], default=measured[0]) for arm in (first, second)
    )
    return math.log2(one / other)


def _on_common_steps(one, other):
    """Performance of both on their common steps."""
    first = one.performance_until(other.performance.index)
    second = other.performance_until(one.performance.index)
    steps = first.index.intersection(second.index)
    if not len(steps):
        raise NotComparable("there is no common training step", brief="no common training step")
    return first.loc[steps], second.loc[steps]


def _trained_by_lr(traces):
    """Learning rate -> whether it trains; without runs that may still come to train."""
    return {trace.lr: trace.trained for trace in traces if trace.ended or trace.trained}
