"""The commands: one run, a study, or a list of what a study would do.

As in `python -m bnkit.main --norm=bn --lr=0.5`; the flags are in `bnkit.command_line`.
"""

import contextlib
import functools
import logging
import os
import pathlib
import signal
import sys
import traceback

from bnkit import backend, memory, preflight, study, waiting
from bnkit.command_line import FlagError, help_text, parse
from bnkit.messages import fail, say, show_log
from bnkit.reporting.process import Reporter
from bnkit.rules import AUTO
from bnkit.settings import MULTIWORKER
from bnkit.store import RunError, RunFailed, RunFiles
from bnkit.study import INTERRUPTED

# The exit code as long as runs wait for SLURM, or are made by it.
QUEUED = 3

_log = logging.getLogger("bnkit")


def main(argv=None, is_command=False):
    """Runs the command; returns its exit code.

    That is 0 if all runs are done, diverged ones included; 1 if a run failed, has no report, or has
    lost a worker; 2 for input that is not valid; 3 if SLURM still has runs; 130 after Ctrl-C,
    SIGTERM or SIGHUP.

    Args:
        argv: As `sys.argv`, which it is if not given.
        is_command: Whether this process is that of the command: a further one draws the report.
    """
    argv = sys.argv if argv is None else argv
    try:
        values, grid = parse(argv)
    except FlagError as error:
        return fail(error)
    if values.help:
        say(help_text())
        return 0
    try:
        backend.require_tensorflow()
    except backend.BackendError as error:
        return fail(error)
    backend.take_gpu_memory_as_needed()
    show_log()
    _hear_signals()
    if is_command:
        backend.skip_garbage_collection_at_exit()
    command = ["python", "-m", "bnkit.main", *argv[1:]]
    reporter = Reporter(is_command)
    try:
        if values.dry_run or values.estimate:
            return _list(values, grid)
        if values.lr == (AUTO,):
            grid = _with_rates(values, grid, command)
        if len(grid) > 1 or values.launcher != "local":
            return _run_study(values, grid, command, reporter)
        return _run(values, grid[0], command, reporter)
    except KeyboardInterrupt:
        return fail("interrupted", code=INTERRUPTED)
    except _NoRate as error:
        return fail(error, code=error.code)
    finally:
        reporter.close()


class _NoRate(Exception):
    """There is no learning rate; `code` is the exit code."""

    def __init__(self, error, code):
        super().__init__(str(error))
        self.code = code


def _with_rates(values, grid, command):
    """The grid with the learning rate that is found for it."""
    from bnkit.study import range_test, tables

    directory = _study_dir(values)
    try:
        grid = preflight.check(grid, values.data_dir or None, values.epochs)
        grid, table = range_test.find(
            grid,
            directory.with_name(f"{directory.name}-range"),
            show=_log.info,
            jobs=_jobs(values, grid),
            data_dir=values.data_dir or None,
            input=values.input,
            resume=values.resume,
            command=command,
            checkpoint_seconds=values.checkpoint_seconds,
        )
    except (ValueError, OSError) as error:
        raise _NoRate(error, code=2) from error
    except RunError as error:
        raise _NoRate(error, code=1) from error
    say(tables.text(table))
    return grid


def _list(values, grid):
    """Shows which runs there are and, if asked, how long they will take; returns the exit code."""
    from bnkit.study import tables, timing

    states, damaged = {}, []
    try:
        grid = preflight.check(grid, values.data_dir or None, values.epochs)
        for settings in grid:
            try:
                states[settings] = study.state(settings, _study_dir(values), resume=values.resume)
            except RunError as error:
                states[settings] = "damaged"
                damaged.append(str(error))
        to_make = {s: state for s, state in states.items() if state in ("to do", "resume")}
        jobs = _jobs(values, grid)
        estimates = None
        if values.estimate:
            estimates = timing.estimate(
                to_make,
                _study_dir(values),
                jobs=jobs,
                data_dir=values.data_dir or None,
                input=values.input,
            )
    except (ValueError, OSError) as error:
        return fail(error)
    say(tables.text(tables.plan_table(grid, states, estimates)))
    for text in damaged:
        fail(text)
    at_a_time = jobs or "as many as there is room for"
    there = f"{len(to_make)} of {len(grid)} runs to make, {at_a_time} at a time"
    if estimates is None:
        hint = "; --estimate says how long they take" if values.launcher == "local" else ""
        say(f"{there}{hint}")
        return 1 if damaged else 0
    known = [estimate for estimate in estimates.values() if estimate is not None]
    in_all = timing.in_all([estimate.seconds for estimate in known], jobs)
    say(f"{there}: about {waiting.duration(in_all)}{tables.totals(known, jobs)}")
    return 0 if len(known) == len(estimates) and not damaged else 1


def _run_study(values, grid, command, reporter):
    """Makes the runs of a grid and reports on the study; returns the exit code."""
    from bnkit.report.statistics.headline import warnings
    from bnkit.study import tables

    study_dir = _study_dir(values)
    report = pathlib.Path(values.reports_dir) / values.study
    try:
        grid = preflight.check(grid, values.data_dir or None, values.epochs)
        with _launcher(values, grid) as make_runs:
            # Now rather than after the training: the report's folder may not be writable.
            report.mkdir(parents=True, exist_ok=True)
            if values.launcher != "slurm":  # It reports in a later call.
                reporter.start()
            outcomes = make_runs(
                grid,
                study_dir,
                data_dir=values.data_dir or None,
                input=values.input,
                command=command,
                checkpoint_seconds=values.checkpoint_seconds,
                tensorboard_details=values.tensorboard_details,
            )
        heads = tables.read_headlines(outcomes, study_dir)
    except (ValueError, OSError) as error:
        return fail(error)
    say(tables.text(tables.outcome_table(outcomes, heads)))
    states = {outcome.state for outcome in outcomes}
    if states & {"queued", "running"}:
        return _tell_of_queue(outcomes)
    if states & {"interrupted", "to do"}:
        return fail("interrupted; the same command goes on from there", code=INTERRUPTED)
    if not heads:
        return fail("every run failed before it measured anything: no report", code=1)
    for line in warnings([head for head in heads.values() if head["never_trained"]]):
        say(f"bnkit: {line}", file=sys.stderr)
    code = reporter.report("report_study", path=str(study_dir), directory=str(report))
    return code or int("failed" in states)


@contextlib.contextmanager
def _launcher(values, grid):
    """What makes the runs of a grid, where they are to be made; it takes the rest of `study.run`.

    Raises:
        LauncherError: If there is no such place.
    """
    jobs = _jobs(values, grid)
    if values.launcher == "ray":
        from bnkit.study import ray_launcher

        with ray_launcher.opened(
            values.ray_address or None,
            cpus=values.cpus_per_run or 1,
            gpus=values.gpus_per_run,
        ) as launcher:
            jobs = jobs or sys.maxsize
            yield functools.partial(study.run, launcher=launcher, jobs=jobs, resume=values.resume)
    elif values.launcher == "slurm":
        from bnkit.study import slurm

        slurm.check()
        per_run = {"cpus": values.cpus_per_run or 1, "gpus": values.gpus_per_run}
        yield functools.partial(slurm.run, jobs=jobs, **per_run)
    else:
        yield functools.partial(
            study.run, jobs=jobs, cpus=values.cpus_per_run, resume=values.resume
        )


def _jobs(values, grid):
    """How many runs are made at the same time; None for as many as there is room for."""
    if values.jobs != AUTO:
        return values.jobs
    if values.launcher != "local":
        return None
    return study.choose_jobs(grid, _study_dir(values), cpus=values.cpus_per_run)


def _tell_of_queue(outcomes):
    """Says how far SLURM is; returns the exit code."""
    states = [outcome.state for outcome in outcomes]
    waiting, made = states.count("queued"), states.count("running")
    ended = len(states) - waiting - made
    return fail(
        f"{ended} of {len(states)} runs have ended; SLURM has the others: {made} running, "
        f"{waiting} queued. The same command says how far they are, and reports once all have "
        "ended",
        code=QUEUED,
    )


def _study_dir(values):
    return pathlib.Path(values.runs_dir) / values.study


def _run(values, settings, command, reporter):
    """Trains, measures, reports; returns the exit code."""
    study.choose_kernels(_study_dir(values) / settings.run_id, values.resume)
    is_chief = True
    if settings.strategy == MULTIWORKER:
        # TensorFlow shows the end of another worker, even after the training, as an error.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Before TensorFlow computes anything, as a check of code of the user's own lets it.
        with backend.without_start_up_messages():
            from bnkit.training import WorkerLost, cluster
        try:
            is_chief = cluster.connect().cluster_resolver.task_id == 0
        except WorkerLost as error:
            return fail(error, code=1)
        except ValueError as error:
            return fail(error)
    try:
        if is_chief:
            study.state(settings, _study_dir(values), resume=values.resume)
        (settings,) = preflight.check([settings], values.data_dir or None, values.epochs)
        directory = _study_dir(values) / settings.run_id
        report = pathlib.Path(values.reports_dir) / values.study / settings.run_id
        if is_chief:
            # Now rather than after the training: a folder may not be writable.
            directory.parent.mkdir(parents=True, exist_ok=True)
            report.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError, RunError) as error:
        return fail(error)
    _log.info(
        "%d steps of %s with norm %s at lr %g on %s, into %s",
        *(settings.steps, settings.model, settings.norm, settings.lr, settings.dataset, directory),
    )
    if is_chief:
        reporter.start()
    with backend.without_start_up_messages():
        import tensorflow as tf

        from bnkit import experiment

        tf.config.list_physical_devices()
    try:
        experiment.run(
            settings,
            _study_dir(values),
            data_dir=values.data_dir or None,
            input=values.input,
            resume=values.resume,
            command=command,
            checkpoint_seconds=values.checkpoint_seconds,
            tensorboard_details=values.tensorboard_details,
        )
    except experiment.WorkerLost as error:
        return fail(error, code=1)
    except Exception as error:
        return _fail_run(error, directory)
    return _report_run(values, directory, report, reporter) if is_chief else 0


def _report_run(values, directory, report, reporter):
    """Reports on a run that has ended; returns the exit code."""
    paths = {"path": directory, "directory": report, "runs_dir": values.runs_dir}
    return reporter.report("report_run", **{name: str(path) for name, path in paths.items()})


def _fail_run(error, directory):
    """Says why there is no result of a run; returns the exit code.

    Input that was refused before the training is not valid; everything else is a failure, and where
    in the code it happened is in the log of the run.
    """
    if memory.is_exhausted(error):
        return fail(f"out of memory: {memory.ADVICE} ({type(error).__name__}: {error})", code=1)
    has_failed = isinstance(error, RunFailed)
    if isinstance(error, (ValueError, OSError, RunError)) and not has_failed:
        return fail(error)
    log = RunFiles(directory).log
    try:
        with open(log, "a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
    except OSError:  # A full disk, perhaps, which is what the message says.
        log = "nowhere"
    text = str(error) if has_failed else f"{type(error).__name__}: {error}"
    return fail(f"{text} (where it happened: {log})", code=1)


def _hear_signals():
    """Until a run or a study hears them itself, signals end the command as Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main(is_command=True))
