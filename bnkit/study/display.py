"""One progress bar for a whole study."""

import contextlib
import logging
import time

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
        if self._bar.disable or time.monotonic() < self._next:
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
        self._bar.set_postfix_str(f"{', '.join(shown)} of {len(self._grid)} runs", refresh=False)
        self._bar.n, self._bar.total = self._steps()
        self._bar.refresh()

    def _steps(self):
        """Steps made so far, and in the end: a run that has ended makes no more."""
        made = {settings: counter.count() for settings, counter in self._counters.items()}
        to_make = [made[s] if s in self._outcomes else s.steps for s in self._grid]
        return sum(made.values()), sum(to_make)

    def __enter__(self):
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        made, to_make = self._steps()
        with contextlib.ExitStack() as stack:
            self._bar = tqdm(
                total=to_make,
                initial=made,
                desc=self._name,
                unit="step",
                smoothing=0,
                # None: no bar unless standard error is a terminal.
                disable=None if self._progress else True,
            )
            stack.callback(self._bar.close)
            if not self._bar.disable:
                # Prints log lines above the bar instead of into it.
                stack.enter_context(logging_redirect_tqdm([logging.getLogger("bnkit")]))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._next = 0.0
        self.show([])
        self._stack.close()
