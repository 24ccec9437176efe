"""One progress bar for a whole study."""

import contextlib
import logging
import time

# Seconds between two looks at the records of the runs.
_PAUSE = 1.0


class Display:
    """Shows the steps made over all runs, the time left, and how many runs are in which state.

    The time left follows from the mean speed so far, start of the processes and probes included.

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
        self._counters = {s: _StepCounter(study_dir / s.run_id / "metrics.jsonl") for s in grid}
        self._next = 0.0

    def show(self, running):
        """Brings the bar up to date; `running`: settings of the runs at hand."""
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
        """Steps made, and steps to be made in all: a run that has ended makes no more."""
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
                # None: silent where nobody watches, such as in a log file.
                disable=None if self._progress else True,
            )
            stack.callback(self._bar.close)
            if not self._bar.disable:
                # Lines of the log go above the bar, not through it.
                stack.enter_context(logging_redirect_tqdm([logging.getLogger("bnkit")]))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._next = 0.0
        self.show([])
        self._stack.close()


class _StepCounter:
    """Counts the training steps in a file of records, reading only what is new."""

    _STEP = b'"kind": "train"'

    def __init__(self, path):
        self._path = path
        self._position = self._steps = 0

    def count(self):
        try:
            with open(self._path, "rb") as records:
                # Cut back to the checkpoint that the run goes on from.
                if records.seek(0, 2) < self._position:
                    self._position = self._steps = 0
                records.seek(self._position)
                new = records.read()
        except FileNotFoundError:
            self._position = self._steps = 0
            return 0
        complete = new[: new.rfind(b"\n") + 1]
        self._position += len(complete)
        self._steps += complete.count(self._STEP)
        return self._steps
