"""How far a whole study has come."""

import contextlib
import time

from bnkit import waiting
from bnkit.store import StepCounter

# Seconds between two readings of the runs' records.
_PAUSE = 1.0


class Display:
    """Shows the steps made over all runs, the time left, and how many runs are in each state.

    The time left is estimated from the mean speed so far, which includes the start of processes and
    the probes.

    Args:
        study_dir: Directory of the study.
        grid: List of `bnkit.Settings`.
        outcomes: `Settings` -> `Outcome` of the runs that have ended; the caller adds to it.
        progress: Whether to show anything.
    """

    def __init__(self, study_dir, grid, outcomes, progress):
        self._name = study_dir.name
        self._grid = grid
        self._outcomes = outcomes
        self._progress = progress
        self._counters = {s: StepCounter(study_dir / s.run_id) for s in grid}
        self._next = 0.0

    def show(self, running):
        """Brings the bar up to date; `running`: settings of the runs that are being made."""
        if not self._progress or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        states = [outcome.state for outcome in self._outcomes.values()]
        counts = {
            "done": states.count("done"),
            "diverged": states.count("diverged"),
            "failed": states.count("failed"),
            "running": len(running),
        }
        always = ("done", "running")
        shown = [f"{n} {name}" for name, n in counts.items() if n or name in always]
        made, to_make = self._steps()
        self._shown.at(made, f"{', '.join(shown)} of {len(self._grid)} runs", total=to_make)

    def _steps(self):
        """Steps made so far, and in the end: a run that has ended makes no more."""
        made = {settings: counter.count() for settings, counter in self._counters.items()}
        to_make = [made[s] if s in self._outcomes else s.steps for s in self._grid]
        return sum(made.values()), sum(to_make)

    def __enter__(self):
        made, to_make = self._steps()
        self._stack = contextlib.ExitStack()
        self._shown = self._stack.enter_context(
            waiting.shown(to_make, self._name, "step", initial=made, is_shown=self._progress)
        )
        return self

    def __exit__(self, *exception):
        self._next = 0.0
        self.show([])
        self._stack.__exit__(*exception)
