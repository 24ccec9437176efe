"""What must hold before two runs can be compared."""

import math

from bnkit.report.statistics.pairing import NotComparable
from bnkit.report.statistics.training import FLAT


def require_trained(trace, consequence=FLAT):
    """Raise `NotComparable` with the `consequence` unless the run trained."""
    if not trace.trained:
        failure = "diverged" if trace.diverged else "did not train"
        raise NotComparable(
            f"norm={trace.norm} {failure}, and {consequence}", brief=failure, norm=trace.norm
        )


def common_captures(first, second, after=0, until=math.inf):
    """Two series at their common captures, from step `after` to before step `until`."""
    steps = first.index.intersection(second.index)
    steps = steps[(steps >= after) & (steps < until)]
    if not len(steps):
        after = f" from step {after} on" if after else ""
        until = f" before step {until}" if math.isfinite(until) else ""
        raise NotComparable(
            f"there is no common capture{after}{until}", brief=f"no common capture{after}{until}"
        )
    return first.loc[steps], second.loc[steps]
