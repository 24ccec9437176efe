"""Draws the report of a run or of studies again: `python -m bnkit.report runs/STUDY[/RUN]`."""

import logging
import pathlib
import sys

from absl import flags

from bnkit import arguments, backend, flag_parsers
from bnkit.messages import one_line

USAGE = """usage: python -m bnkit.report PATH... [--baseline=none,bn] [--reports_dir=reports]

Draws the report of the runs at PATH again, from what is on disk, and prints the verdicts on the
claims, and where the page is.
PATH is a run (runs/STUDY/RUN -> reports/STUDY/RUN) or a study (runs/STUDY -> reports/STUDY).
Several have one report (runs/A runs/B -> reports/A+B), which compares their runs.

  --baseline: normalisations that every other one is held against, with commas between them
    (default: those of none and bn that are there)
  --reports_dir: directory that reports are written below (default: reports)"""

# Not absl's global flags: bnkit.main has a --reports_dir of its own, and both may be imported.
FLAGS = flags.FlagValues()
REPORTS_DIR = flags.DEFINE_string(
    "reports_dir", "reports", "Where reports are written.", flag_values=FLAGS
)
BASELINE = flags.DEFINE(
    flag_parsers.PARSERS[tuple[str, ...]],
    "baseline",
    None,
    "Normalisations that every other one is held against.",
    flag_values=FLAGS,
    serializer=flags.CsvListSerializer(","),
)
HELP = flags.DEFINE_bool("help", False, "Print this text.", flag_values=FLAGS)


def main(argv):
    """Exit code: 0, or 2 with one line that says what is wrong."""
    # What an earlier call in this process was told counts no longer.
    for name in FLAGS:
        FLAGS[name].unparse()
    try:
        paths = FLAGS([argv[0], *arguments.expand(argv[1:])], known_only=False)[1:]
    # absl raises a bare ValueError for --nohelp=1.
    except (flags.Error, ValueError) as error:
        return _refuse(str(error))
    if HELP.value:
        print(USAGE)
        return 0
    if not paths:
        return _refuse("expected a PATH, got none")
    if BASELINE.value is not None and not BASELINE.value:
        return _refuse("flag --baseline=: must be normalisations, with commas between them")
    from bnkit.report import ReportError, read_claims, write_report
    from bnkit.report.page.headlines import verdicts
    from bnkit.store import RunError

    # Of runs that are left out.
    logging.basicConfig(format="bnkit.report: %(message)s")
    try:
        places = dict(map(_place, paths))
        if len(places) > 1:
            below = "+".join(path.name for path in places)
        else:
            (below,) = places.values()
        directory = pathlib.Path(REPORTS_DIR.value) / below
        page = write_report(
            list(places), directory, baselines=BASELINE.value, processes=backend.cores()
        )
        print(*verdicts(read_claims(page.parent)), sep="\n")
    except (ReportError, RunError, OSError) as error:
        return _refuse(str(error))
    print(f"report: {page}")
    return 0


def _place(given):
    """A path on the command line, and where below the reports its own report is.

    Raises:
        RunError: If no run is there, or studies are.
    """
    from bnkit.store import RunError, find_runs

    path = pathlib.Path(given).resolve()
    runs = find_runs(path)
    if path == runs[0].parent.parent:
        studies = ", ".join(sorted({run.parent.name for run in runs}))
        raise RunError(f"{given} holds studies; give one of them, or several: {studies}")
    return path, pathlib.Path(path.parent.name, path.name) if path == runs[0] else path.name


def _refuse(message):
    print(f"bnkit.report: {one_line(message)} (see --help)", file=sys.stderr)
    return 2


if __name__ == "__main__":
    backend.skip_garbage_collection_at_exit()
    sys.exit(main(sys.argv))
