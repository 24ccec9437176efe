"""How far long work has come: a bar at a terminal or in a notebook, lines of the log elsewhere."""

import contextlib
import logging
import sys
import time
import warnings

# A line of the log comes after so much of the work, but not every moment, or else after so many
# seconds, and later so much of the time that has passed: the log of many hours stays short. The
# first one, which says how long it will take, comes after a moment.
_SHARE, _MOMENT = 0.1, 2
_SECONDS, _OF_TIME_PASSED = 15, 0.05

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def shown(total, description, unit, *, initial=0, is_shown=True):
    """Shows work while the block runs.

    While there is a bar, lines of the log stand above it. Where there is none and nobody listens to
    the log, as in a script or a notebook of the user's own, it is written to stderr meanwhile.

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
        with _heard(description):
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
    from tqdm import std

    with warnings.catch_warnings():
        # That it is in a notebook, or that there are no widgets: then it has but the class for
        # terminals.
        warnings.simplefilter("ignore", std.TqdmWarning)
        from tqdm.autonotebook import tqdm

    return tqdm if tqdm is not std.tqdm or sys.stderr.isatty() else None


@contextlib.contextmanager
def _heard(description):
    """Has the log written to stderr, after the description, unless somebody listens to it."""
    log = logging.getLogger("bnkit")
    if log.isEnabledFor(logging.INFO):
        yield
        return
    handler, level, propagate = logging.StreamHandler(), log.level, log.propagate
    handler.setFormatter(logging.Formatter("bnkit: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False  # TensorFlow gives the root logger a handler, which is not for this.
    try:
        log.info("%s", description)
        yield
    finally:
        log.propagate = propagate
        log.setLevel(level)
        log.removeHandler(handler)


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
        self._is_new = False

    def begins_now(self, description):
        _log.info("%s took %s", self._description, duration(self._now() - self._start))
        self._description = description
        self._first = self._said = self._done
        self._start = self._said_at = self._now()
        self._is_new = True

    def at(self, done, values="", total=None):
        self._done = done
        self._total = self._total if total is None else total
        now = self._now()
        silent = now - self._said_at
        has_come_far = done - self._said >= _SHARE * self._total and silent >= _MOMENT
        is_long = silent >= max(_SECONDS, _OF_TIME_PASSED * (now - self._start))
        is_first = self._is_new and silent >= _MOMENT and self._first < done < self._total
        if not self._total or not (has_come_far or is_long or is_first):
            return
        if has_come_far or is_long:
            self._said = done
        self._said_at, self._is_new = now, False
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
