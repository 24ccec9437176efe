"""How a command ends: it draws the report, and says how it came out, on the terminal."""

import importlib
import sys

from bnkit.messages import fail, python_command, say
from bnkit.study import INTERRUPTED

_TENSORBOARD = ("-m", "tensorboard.main", "--logdir")


def report_run(path, directory, runs_dir, processes=1):
    """Reports on a run that has ended; returns the exit code.

    Args:
        path: The directory of the run.
        directory: The directory of the report.
        runs_dir: The directory of all studies.
        processes: As for `write_report`.
    """
    from bnkit.report import write_report
    from bnkit.report.page.headlines import headlines, sentence
    from bnkit.report.page.images import show_report
    from bnkit.report.runs import read_runs
    from bnkit.report.statistics.headline import warnings

    try:
        (run,) = read_runs(path)
        (result,) = headlines([run])
        if run.state == "interrupted":
            return fail(
                f"{result['reason']} after {result['steps']} of {run.settings['steps']} steps; the "
                "same command goes on from there",
                code=INTERRUPTED,
            )
        page = write_report(path, directory, progress=True, processes=processes)
        show_report(page, path, result["steps"])
    except (ValueError, OSError) as error:
        return fail(error, code=1)
    for line in warnings([result]):
        say(f"bnkit: {line}", file=sys.stderr)
    say(sentence(result, python_command()))
    say(f"report: {page}")
    say(f"TensorBoard: {python_command(*_TENSORBOARD, runs_dir)}")
    return 0


def report_study(path, directory, processes=1):
    """Reports on a study; returns the exit code, 0 whether or not runs of it failed.

    Args:
        path: The directory of the study.
        directory: The directory of the report.
        processes: As for `write_report`.
    """
    from bnkit.report import ReportError, read_claims, write_report
    from bnkit.report.page.headlines import verdicts
    from bnkit.report.page.images import show_report

    try:
        page = write_report(path, directory, progress=True, processes=processes)
        show_report(page, path)
        say(*verdicts(read_claims(directory)))
    except (ReportError, OSError) as error:
        return fail(error, code=1)
    say(f"report: {page}")
    say(f"TensorBoard: {python_command(*_TENSORBOARD, path)}")
    return 0


def load():
    """Loads what the functions above need."""
    for name in ("headlines", "images", "write"):
        importlib.import_module(f"bnkit.report.page.{name}")
