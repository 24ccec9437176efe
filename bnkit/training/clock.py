"""Where the time of a run goes."""

import collections
import contextlib
import time


class Clock:
    """Counts seconds: those of each part, and the total since it was made.

    >>> clock = Clock()
    >>> with clock("train"):
    ...     pass
    >>> list(clock.seconds)
    ['train']
    """

    def __init__(self):
        self.seconds = collections.Counter()
        self._start = time.perf_counter()

    @property
    def total(self):
        return time.perf_counter() - self._start

    def go_on(self, seconds):
        """Adds what an earlier process spent: part -> seconds, with their `total`."""
        earlier = dict(seconds)
        self._start -= earlier.pop("total", 0)
        self.seconds.update(earlier)

    @contextlib.contextmanager
    def __call__(self, part):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - start
