"""The commands: one run, a study, or a list of what a study would do.

As in `python -m bnkit.main --norm=bn --lr=0.5`; the flags are in `bnkit.command_line`.
"""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import tempfile

from bnkit import backend, layers, study
from bnkit.command_line import FlagError, help_text, parse
from bnkit.study import INTERRUPTED


def main(argv=None):
    """Runs the command; returns its exit code.

    That is 0 if all runs are done, diverged ones included; 1 if a run failed; 2 for input that is
    not valid; 130 after Ctrl-C, SIGTERM or SIGHUP.
    """
    argv = sys.argv if argv is None else argv
    try:
        values, grid = parse(argv)
    except FlagError as error:
        return _fail(error)
    if values.help:
        print(help_text())
        return 0
    try:
        backend.require_tensorflow()
    except backend.BackendError as error:
        return _fail(error)
    _show_log()
    _hear_signals()
    command = ["python", "-m", "bnkit.main", *argv[1:]]
    try:
        if values.dry_run:
            return _list(values, grid)
        if len(grid) > 1:
            return _run_study(values, grid, command)
        return _run(values, grid[0], command)
    except KeyboardInterrupt:
        return _fail("interrupted", code=INTERRUPTED)


def _list(values, grid):
    """Shows which runs there are, and how long they will take; returns the exit code."""
    from bnkit.store import RunError
    from bnkit.study import tables, timing

    try:
        _check_users_layers(grid)
        states = {
            settings: study.state(settings, _study_dir(values), resume=values.resume)
            for settings in grid
        }
        estimates = timing.estimate(
            {s: state for s, state in states.items() if state not in study.ENDED},
            _study_dir(values),
            jobs=values.jobs,
            data_dir=values.data_dir or None,
        )
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    print(tables.text(tables.plan_table(grid, states, estimates)))
    known = [seconds for seconds in estimates.values() if seconds is not None]
    print(
        f"{len(estimates)} of {len(grid)} runs to make, {values.jobs} at a time: "
        f"about {tables.duration(timing.in_all(known, values.jobs))}"
    )
    return 0 if len(known) == len(estimates) else 1


def _run_study(values, grid, command):
    """Makes the runs of a grid and reports on the study; returns the exit code."""
    from bnkit.report import ReportError, read_claims, write_report
    from bnkit.report.page.headlines import verdicts, warnings
    from bnkit.report.page.images import show_report
    from bnkit.store import RunError
    from bnkit.study import tables

    study_dir = _study_dir(values)
    report = pathlib.Path(values.reports_dir) / values.study
    try:
        # Now rather than after the training: the report's folder may not be writable.
        report.mkdir(parents=True, exist_ok=True)
        _check_users_layers(grid)
        outcomes = study.run(
            grid,
            study_dir,
            jobs=values.jobs,
            data_dir=values.data_dir or None,
            resume=values.resume,
            command=command,
            checkpoint_seconds=values.checkpoint_seconds,
        )
        heads = tables.read_headlines(outcomes, study_dir)
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    print(tables.text(tables.outcome_table(outcomes, heads)))
    states = {outcome.state for outcome in outcomes}
    if states & {"interrupted", "to do"}:
        return _fail("interrupted; the same command goes on from there", code=INTERRUPTED)
    if not heads:
        return _fail("every run failed before it measured anything: no report", code=1)
    for line in warnings([head for head in heads.values() if head["never_trained"]]):
        print(f"bnkit: {line}", file=sys.stderr)
    try:
        page = write_report(study_dir, report)
        show_report(page, study_dir)
        print(*verdicts(read_claims(report)), sep="\n")
    except (ReportError, OSError) as error:
        return _fail(error, code=1)
    print(f"report: {page}")
    print(f"TensorBoard: tensorboard --logdir {study_dir}")
    return 1 if "failed" in states else 0


def _study_dir(values):
    return pathlib.Path(values.runs_dir) / values.study


def _check_users_layers(grid):
    """Imports the user's own layers, so that a slip shows before anything is trained."""
    paths = {settings.norm for settings in grid if ":" in settings.norm}
    if paths:
        backend.choose_kernels()
        with _without_start_up_messages():
            import keras  # noqa: F401
        for path in sorted(paths):
            layers.get(path)


def _run(values, settings, command):
    """Trains, measures, reports; returns the exit code."""
    study.choose_kernels(_study_dir(values) / settings.run_id, values.resume)
    with _without_start_up_messages():
        import tensorflow as tf

        from bnkit import experiment

        tf.config.list_physical_devices()
    from bnkit.report import write_report
    from bnkit.report.page.headlines import headlines, sentence, warnings
    from bnkit.report.page.images import show_report
    from bnkit.report.runs import read_runs
    from bnkit.store import RunError, RunFailed

    report = pathlib.Path(values.reports_dir) / values.study / settings.run_id
    try:
        # Now rather than after the training: the report's folder may not be writable.
        report.mkdir(parents=True, exist_ok=True)
        run = experiment.run(
            settings,
            _study_dir(values),
            data_dir=values.data_dir or None,
            resume=values.resume,
            command=command,
            checkpoint_seconds=values.checkpoint_seconds,
        )
        (result,) = headlines(read_runs(run))
        if result["status"] == "interrupted":
            return _fail(
                f"{result['reason']} after {result['steps']} of {settings.steps} steps; the same "
                "command goes on from there",
                code=INTERRUPTED,
            )
        page = write_report(run, report)
        show_report(page, run, result["steps"])
    except RunFailed as error:
        return _fail(error, code=1)
    except (ValueError, OSError, RunError) as error:
        return _fail(error)
    for line in warnings([result]):
        print(f"bnkit: {line}", file=sys.stderr)
    print(sentence(result))
    print(f"report: {page}")
    print(f"TensorBoard: tensorboard --logdir {values.runs_dir}")
    return 0


@contextlib.contextmanager
def _without_start_up_messages():
    """Hides what TensorFlow's runtime prints while it loads, before its log level applies.

    If loading fails, everything is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _show_log():
    """Shows the library's log on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("bnkit: %(message)s"))
    logger = logging.getLogger("bnkit")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _hear_signals():
    """Until a run or a study hears them itself, signals end the command as Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _fail(message, code=2):
    print("bnkit:", " ".join(str(message).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
