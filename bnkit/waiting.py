"""How far long work has come: a bar at a terminal or in a notebook, lines of the log elsewhere."""

import contextlib
import logging
import sys
import time

# A line of the log comes after so much of the work, but not every moment, or else after so many
# seconds, and later so much of the time that has passed: the log of many hours stays short.
_SHARE, _MOMENT = 0.1, 2
_SECONDS, _OF_TIME_PASSED = 15, 0.05

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def shown(total, description, unit, *, initial=0, is_shown=True):
    """Shows work while the block runs.

    While there is a bar, lines of the log stand above it.

    Args:
        total: Units of the work in all.
        description: Stands before the bar, and before each line.
        unit: What is counted, in the singular.
        initial: Units that are done already.
        is_shown: Whether to show anything.

    Yields:
        A `Bar` or `Lines`: `at(done, values, total=None)` says how far the work is,
        `begins_now(description)` that what came before it says nothing of its speed.
    """
    if not is_shown:
        yield _Nothing()
        return
    bar = _bar_class()
    if bar is None:
        yield Lines(total, description, unit, initial)
        return
    from tqdm.contrib.logging import logging_redirect_tqdm

    with (
        contextlib.closing(Bar(bar, total, description, unit, initial)) as found,
        logging_redirect_tqdm([logging.getLogger("bnkit")]),
    ):
        yield found


def _bar_class():
    """tqdm's class for this place; None where nobody watches, such as in a log file."""
    # In a notebook without its widgets tqdm warns, and has but the class for terminals.
    from tqdm import std
    from tqdm.autonotebook import tqdm

    return tqdm if tqdm is not std.tqdm or sys.stderr.isatty() else None


class Bar:
    """A bar of tqdm's."""

    def __init__(self, bar, total, description, unit, initial):
        self._bar = bar(total=total, initial=initial, desc=description, unit=unit, smoothing=0)

    def begins_now(self, description):
        self._bar.set_description(description, refresh=False)
        self._bar.unpause()

    def at(self, done, values="", total=None):
        if total is not None:
            self._bar.total = total
        self._bar.n = done
        self._bar.set_postfix_str(values)

    def close(self):
        self._bar.close()


class Lines:
    """Lines of the log: how much is done, what it shows, how long it will still take.

    Args:
        now: What tells the time, in seconds.
        others: As for `shown`.
    """

    def __init__(self, total, description, unit, initial, now=time.monotonic):
        self._total = total
        self._description = description
        self._unit = unit
        self._now = now
        self._done = self._first = self._said = initial
        self._start = self._said_at = now()

    def begins_now(self, description):
        _log.info("%s took %s", self._description, duration(self._now() - self._start))
        self._description = description
        self._first = self._said = self._done
        self._start = self._said_at = self._now()

    def at(self, done, values="", total=None):
        self._done = done
        self._total = self._total if total is None else total
        now = self._now()
        silent = now - self._said_at
        has_come_far = done - self._said >= _SHARE * self._total and silent >= _MOMENT
        is_long = silent >= max(_SECONDS, _OF_TIME_PASSED * (now - self._start))
        if not self._total or not (has_come_far or is_long):
            return
        self._said, self._said_at = done, now
        parts = [f"{done} of {self._total} {self._unit}s ({100 * done // self._total} %)"]
        parts += [values] if values else []
        if self._first < done < self._total:
            speed = (done - self._first) / max(now - self._start, 1e-9)
            parts.append(f"{duration((self._total - done) / speed)} left")
        _log.info("%s: %s", self._description, ", ".join(parts))


class _Nothing:
    def begins_now(self, description):
        pass

    def at(self, done, values="", total=None):
        pass


def duration(seconds):
    """As people say it: `45 s`, `3 min 20 s`, `2 h 10 min`.

    >>> duration(200)
    '3 min 20 s'
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
