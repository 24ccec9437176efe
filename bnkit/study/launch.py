"""Makes the runs of a grid, several at a time, and says how each came out."""

import collections
import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import threading
import time

from bnkit.backend import cores
from bnkit.settings import Settings
from bnkit.store import (
    ENDED,
    RunError,
    RunFiles,
    check_replaceable,
    is_measured,
    read_description,
    read_status,
)
from bnkit.study.display import Display
from bnkit.study.process import Process, with_threads

# Seconds between two checks of the processes.
_PAUSE = 0.2

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a study came out.

    Attributes:
        settings: `bnkit.Settings` of the run.
        state: "done", "diverged", "interrupted" or "failed"; "to do" if it was never started.
        reason: Why it is not done; empty if it is.
        seconds: How long this call took for it, from the start of the process; 0 if it had ended
            before.
    """

    settings: Settings
    state: str
    reason: str = ""
    seconds: float = 0.0


def state(settings, study_dir, *, resume=True):
    """What `run` finds: "done" or "diverged", which it skips; else "resume" or "to do".

    A run that says that it has ended, but has lost what it measured, is not skipped.

    Raises:
        RunError: If the run is damaged, or another version of bnkit wrote it.
    """
    directory = pathlib.Path(study_dir) / settings.run_id
    if not resume:
        check_replaceable(directory)
        return "to do"
    read_description(directory)
    status = read_status(directory)
    if is_measured(directory):
        return status["status"]
    return "resume" if status is not None and RunFiles(directory).has_checkpoint else "to do"


def run(
    grid,
    study_dir,
    *,
    jobs=1,
    data_dir=None,
    input="auto",
    resume=True,
    command=(),
    checkpoint_seconds=None,
    tensorboard_details=False,
    progress=True,
    cpus=None,
    launcher=None,
):
    """Makes every run of a grid that has not ended yet, each in a process of its own.

    A run that fails or diverges does not stop the others, nor does one that is damaged on disk: it
    counts as failed, and is left as it is. After Ctrl-C, SIGTERM or SIGHUP no further run starts,
    and those being made save a checkpoint and end; the third signal ends them at once. Either way,
    the same call continues from there.

    Args:
        grid: List of `bnkit.Settings`, no two of them equal.
        study_dir: Directory of the study, made if needed.
        jobs: How many runs to make at a time. If there are several, each gets its share of the
            cores, and takes GPU memory only as needed.
        data_dir, input, resume, command: As for `experiment.run`.
        checkpoint_seconds: As for `experiment.run`, whose default it has if None.
        tensorboard_details: As for `experiment.run`.
        progress: Whether to show a progress bar of the whole study.
        cpus: Threads of each run; its share of the cores if None.
        launcher: What starts a run, such as a `ray_launcher.RayLauncher`, which then decides on
            `cpus`: `launcher.start(settings, study_dir, **options)` returns what has the properties
            and methods of a `Process`. If None, each is a `Process` on this machine.

    Returns:
        List of `Outcome`, in the order of the grid.
    """
    study_dir = pathlib.Path(study_dir)
    outcomes = found(grid, study_dir, resume)
    waiting = collections.deque(settings for settings in grid if settings not in outcomes)
    measured = sum(outcome.state in ENDED for outcome in outcomes.values())
    if measured:
        _log.info("%d of %d runs are already measured", measured, len(grid))
    # By the whole grid, so that runs get as many threads however few of them are left.
    environment = _environment(min(jobs, len(grid)), cpus)
    jobs = min(jobs, len(waiting))

    options = {"data_dir": data_dir, "input": input, "resume": resume, "command": list(command)}
    options["tensorboard_details"] = tensorboard_details
    if checkpoint_seconds is not None:
        options["checkpoint_seconds"] = checkpoint_seconds

    def start(settings):
        if launcher is not None:
            return launcher.start(settings, study_dir, **options)
        return Process(settings, study_dir, environment=environment, **options)

    with (
        Display(study_dir, grid, outcomes, progress) as display,
        contextlib.closing(_ended(waiting, start, jobs, display.show)) as ended,
    ):
        for outcome in ended:
            outcomes[outcome.settings] = outcome
            _tell(outcome, study_dir, len(outcomes), len(grid))
    return [outcomes.get(settings, Outcome(settings, "to do")) for settings in grid]


def found(grid, study_dir, resume):
    """`Settings` -> `Outcome` of the runs that have ended already or are damaged."""
    outcomes = {}
    for settings in grid:
        try:
            found = state(settings, study_dir, resume=resume)
        except RunError as error:
            outcomes[settings] = Outcome(settings, "failed", str(error))
            _log.error("%s failed: %s", settings.run_id, error)
        else:
            if found in ENDED:
                outcomes[settings] = Outcome(settings, found)
    return outcomes


def _ended(waiting, start, jobs, show):
    """Starts the waiting runs, at most `jobs` at a time; yields the outcome of each as it ends.

    After Ctrl-C no further run is started. `show(running)` is called at every check.
    """
    running = []
    with _Interrupts() as interrupts:
        try:
            while running or (waiting and not interrupts.count):
                while waiting and len(running) < jobs and not interrupts.count:
                    settings = waiting.popleft()
                    try:
                        running.append(start(settings))
                    except OSError as error:  # Something is in the way, where its log should be.
                        yield Outcome(settings, "failed", str(error))
                interrupts.pass_on(running)
                for process in [process for process in running if process.has_ended]:
                    running.remove(process)
                    outcome = Outcome(process.settings, *process.result())
                    if outcome.state != "to do":  # It was still waiting for a place.
                        yield outcome
                show([process.settings for process in running if process.has_begun])
                if running:
                    time.sleep(_PAUSE)
        finally:
            for process in running:
                process.kill()


def _tell(outcome, study_dir, count, total):
    """Says how a run ended."""
    text = f"run {count} of {total}: {outcome.settings.run_id} {outcome.state}"
    if outcome.state == "failed":
        log = RunFiles(study_dir / outcome.settings.run_id).log
        _log.error("%s: %s (all it printed: %s)", text, outcome.reason, log)
    else:
        reason = f": {outcome.reason}" if outcome.reason else ""
        _log.info("%s after %.0f s%s", text, outcome.seconds, reason)


def _environment(jobs, cpus):
    """Environment variables for runs of which `jobs` share the machine."""
    environment = dict(os.environ)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if jobs > 1:
        cpus = cpus or max(1, cores() // jobs)
        environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return environment if cpus is None else with_threads(environment, cpus)


class _Interrupts:
    """Counts Ctrl-C, SIGTERM and SIGHUP, and passes them on to the processes of the runs.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
    """

    _NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self):
        self.count = 0
        self._passed_on = 0

    def pass_on(self, running):
        """The first two signals ask the runs to end, the third kills them."""
        if self.count == self._passed_on:
            return
        self._passed_on = self.count
        for process in running:
            if self.count < 3:
                process.interrupt()
            else:
                process.kill()
        begun = sum(process.has_begun for process in running)
        if begun and self.count < 3:
            _log.info("saving %d runs; Ctrl-C three times ends them at once", begun)

    def _add(self, signum, frame):
        self.count += 1

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in self._NAMES if hasattr(signal, name)]
            self._before = {
                number: signal.signal(number, self._add)
                for number in numbers
                if signal.getsignal(number) is not signal.SIG_IGN
            }
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)
