"""When something happens, in steps; a step is the number of updates already made."""

import bisect
import time

# What a learning rate of schedule "range" starts at, as a share of the one it rises to.
RANGE = 1e-4


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
