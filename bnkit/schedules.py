"""When something happens, in steps; a step is the number of updates already made."""

import bisect


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
