"""Draws the report of a run or of a study again: `python -m bnkit.report runs/STUDY[/RUN]`."""

import logging
import pathlib
import sys

from absl import flags

from bnkit import arguments
from bnkit.messages import one_line

USAGE = """usage: python -m bnkit.report PATH [--reports_dir=reports]

Draws the report of the runs at PATH again, from what is on disk, and prints the verdicts on the
claims, and where the page is.
PATH is a run (runs/STUDY/RUN -> reports/STUDY/RUN) or a study (runs/STUDY -> reports/STUDY).

  --reports_dir: directory that reports are written below (default: reports)"""

# Not absl's global flags: bnkit.main has a --reports_dir of its own, and both may be imported.
FLAGS = flags.FlagValues()
REPORTS_DIR = flags.DEFINE_string(
    "reports_dir", "reports", "Where reports are written.", flag_values=FLAGS
)
HELP = flags.DEFINE_bool("help", False, "Print this text.", flag_values=FLAGS)


def main(argv):
    """Exit code: 0, or 2 with one line that says what is wrong."""
    try:
        paths = FLAGS([argv[0], *arguments.expand(argv[1:])], known_only=False)[1:]
    # absl raises a bare ValueError for --nohelp=1.
    except (flags.Error, ValueError) as error:
        return _refuse(str(error))
    if HELP.value:
        print(USAGE)
        return 0
    if len(paths) != 1:
        return _refuse(f"expected one PATH, got {len(paths)}: {' '.join(paths) or 'nothing'}")
    from bnkit.report import ReportError, read_claims, write_report
    from bnkit.report.page.headlines import verdicts
    from bnkit.store import RunError, find_runs

    # Of runs that are left out.
    logging.basicConfig(format="bnkit.report: %(message)s")
    try:
        path = pathlib.Path(paths[0]).resolve()
        runs = find_runs(path)
        if path == runs[0].parent.parent:
            studies = sorted({run.parent.name for run in runs})
            return _refuse(f"{paths[0]} holds studies; give one of them: {', '.join(studies)}")
        below = pathlib.Path(path.parent.name, path.name) if path == runs[0] else path.name
        page = write_report(path, pathlib.Path(REPORTS_DIR.value) / below)
        print(*verdicts(read_claims(page.parent)), sep="\n")
    except (ReportError, RunError, OSError) as error:
        return _refuse(str(error))
    print(f"report: {page}")
    return 0


def _refuse(message):
    print(f"bnkit.report: {one_line(message)} (see --help)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
