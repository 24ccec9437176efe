"""When something happens, in steps, and the learning rate of each step.

A step is the number of updates already made.
"""

import bisect
import math
import time

# What a learning rate of schedule "range" starts at, as a share of the one it rises to.
RANGE = 1e-4
# Where the schedule "step" falls to a tenth (He et al. 2016, section 4.2), as shares of the steps.
_DROPS = (0.5, 0.75)


def learning_rate(step, lr, steps, schedule="constant", warmup=0, *, ops):
    """The learning rate of a step, or of an array of steps.

    Over the first `warmup` steps it rises linearly: `lr (t + 1) / (warmup + 1)` at step t. After
    them it is `lr` times 1 ("constant"), `(1 + cos(pi t')) / 2` ("cosine"), 1, 0.1 and 0.01 in the
    first half, the third and the fourth quarter ("step"), or `10^(-4 (1 - t'))` ("range": the range
    test of Smith 2017, rising evenly in the logarithm), t' being the share of the steps after the
    warm-up that have been made.

    Args:
        step: Number of updates made before, as floats.
        lr: The largest rate.
        steps: Number of updates of the run.
        schedule: "constant", "cosine", "step" or "range".
        warmup: Steps over which it rises, at most `steps`.
        ops: What calculates: `numpy`, or `keras.ops`.
    """
    share = ops.clip((step - warmup) / max(steps - warmup, 1), 0.0, 1.0)
    if schedule == "cosine":
        factor = (1 + ops.cos(math.pi * share)) / 2
    elif schedule == "step":
        first, second = _DROPS
        factor = ops.where(share < first, 1.0, ops.where(share < second, 0.1, 0.01))
    elif schedule == "range":
        factor = RANGE ** (1 - share)
    else:
        factor = 1.0
    return lr * ops.where(step < warmup, (step + 1) / (warmup + 1), factor)


class Every:
    """Steps 0, n, 2n, ...

    >>> Every(25).next(26)
    50
    """

    def __init__(self, n):
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError(f"`n` must be a whole number >= 1. Received: n={n!r}")
        self.n = n

    def next(self, step):
        """The first step of the schedule that is not before `step`."""
        return -(-step // self.n) * self.n


class At:
    """The given steps.

    >>> At([0, 10, 100]).next(11)
    100
    """

    def __init__(self, steps):
        self.steps = sorted(set(steps))
        if any(not isinstance(s, int) or isinstance(s, bool) or s < 0 for s in self.steps):
            raise ValueError(f"`steps` must be whole numbers >= 0. Received: steps={steps!r}")

    def next(self, step):
        """The first step of the schedule that is not before `step`, or None after the last."""
        place = bisect.bisect_left(self.steps, step)
        return self.steps[place] if place < len(self.steps) else None


class Either:
    """The steps of several schedules.

    >>> Either(Every(25), At([1, 2, 30])).next(2)
    2
    """

    def __init__(self, *schedules):
        self.schedules = schedules

    def next(self, step):
        """The first step of any of them that is not before `step`, or None after the last."""
        steps = [schedule.next(step) for schedule in self.schedules]
        return min((one for one in steps if one is not None), default=None)


class Elapsed:
    """Whichever step comes once so many seconds have passed.

    Args:
        seconds: From now on, and from each `restart`.
        now: What tells the time, in seconds.
    """

    def __init__(self, seconds, now=time.monotonic):
        self._now = now
        self.restart(seconds)

    def restart(self, seconds):
        """Waits for so many seconds from now on."""
        self._due = self._now() + seconds

    def next(self, step):
        """`step` itself if it is time, or else None: it is not known which step it will be."""
        return step if self._now() >= self._due else None
