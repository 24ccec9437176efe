"""A report on disk: the page, the verdicts, and every figure as PNG, PDF and CSV."""

import contextlib
import gc
import logging
import pathlib

from bnkit import kinds, waiting
from bnkit.messages import one_line
from bnkit.report import claims, frames, naming
from bnkit.report.claims.file import write_claims
from bnkit.report.figures import FIGURES
from bnkit.report.page import figure_files, forks, html, parts
from bnkit.report.runs import ReportError, read_sound_runs
from bnkit.store import replace_file

PAGE = "index.html"

_log = logging.getLogger(__name__)


def write_report(path, directory, progress=False, baselines=None, processes=1):
    """Draws everything about the runs at `path` into `directory`.

    Args:
        path: A run directory, a study directory, or the directory of studies; or a list of them.
            Runs of several studies are compared where they differ in nothing but the arm.
        directory: Made if missing. Gets `index.html`, which needs no other file and makes no
            request, `claims.json` (the verdicts: a list of `claims.Claim.to_dict()`), and
            `figures/NAME.png` (200 dpi), `.pdf` and `.csv` (what is drawn); of several models or
            data sets each has figures of its own, `NAME-MODEL-DATASET`. Each file is replaced in
            one step, so that a reader never sees half of it.
        progress: Whether to show how far it is.
        baselines: The normalisations that every arm is held against, as a sequence; None for those
            of `none` and `bn` that are there.
        processes: Draws figures in so many processes at the same time, on Linux and where neither
            TensorFlow is loaded nor another thread runs, and otherwise one by one, in this process.
            The files are the same.

    A run that is damaged is left out, as is a figure that cannot be drawn from what is recorded;
    the page and a log message say so.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        ReportError: If there is nothing at `path`, or no run there can be read, or none has the
            normalisation of a baseline.
    """
    runs, damages = _read(path)
    _check_baselines(baselines, runs)
    directory = pathlib.Path(directory)
    (directory / figure_files.FOLDER).mkdir(parents=True, exist_ok=True)
    with _little_garbage_collection():
        drawn, left_out, failures = _draw(parts.split(runs), directory, progress, processes)
    damages = [*damages, *failures]
    for damage in damages:
        _log.warning("%s", damage)
    verdicts = write_claims(claims.evaluate(runs, baselines), directory)
    page = directory / PAGE
    text = html.render(runs, damages, verdicts, drawn, left_out, frames.seconds_frame(runs))
    replace_file(page, text.encode())
    return page


def _read(path):
    """The runs at one path or at several, each once, and sentences on those that are damaged."""
    paths = [path] if isinstance(path, (str, pathlib.Path)) else path
    found = [read_sound_runs(one) for one in paths]
    runs = {run.path.resolve(): run for some, _ in found for run in some}
    damages = dict.fromkeys(sentence for _, some in found for sentence in some)
    return list(runs.values()), list(damages)


def _check_baselines(baselines, runs):
    there = sorted({str(run.settings.get("norm")) for run in runs}, key=naming.rank)
    for baseline in baselines or ():
        if baseline not in there:
            raise ReportError(
                f"baseline {baseline!r}: must be a normalisation of the runs: {', '.join(there)}"
            )


def _draw(found, directory, progress, processes):
    """Draws what applies to the runs of each part.

    Returns:
        The figures drawn, and those that lack values, as dicts; sentences on those that cannot be
        drawn.
    """
    tasks = []
    for part in found:
        tables = {kind: frames.frame(part.runs, kind) for kind in kinds.KINDS}
        tables["seconds"] = frames.seconds_frame(part.runs)
        tasks += [(entry, part, tables) for entry in FIGURES if entry.applies(part.runs)]
    results = [None] * len(tasks)
    # The processes first: a bar has a thread.
    with (
        forks.spread(
            lambda number: _draw_one(*tasks[number], directory), len(tasks), processes
        ) as finished,
        waiting.shown(len(tasks), "drawing the report", "figure", is_shown=progress) as shown,
    ):
        for done, (number, result) in enumerate(finished, start=1):
            results[number] = result
            shown.at(done)
    return [[result[kind] for result in results if result[kind]] for kind in range(3)]


@contextlib.contextmanager
def _little_garbage_collection():
    """Keeps what is there already out of the search for garbage.

    A figure is a million objects that refer to one another, so that the search is on all the time,
    and in a process with TensorFlow there is far more to search than the figures.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _draw_one(entry, part, tables, directory):
    """Draws a figure; returns `(drawn, lacking, failure)`, of which two are None."""
    kind = entry.missing(tables)
    if kind:
        title = f"{entry.title} of {part.title}" if part.title else entry.title
        return None, {"title": title, "kind": kind, "column": entry.needs[kind]}, None
    try:
        drawn = figure_files.save(entry, [tables[kind] for kind in entry.kinds], directory, part)
    except OSError:
        raise
    except Exception as error:
        # Records that were edited by hand may hold anything; the other figures are sound.
        what = one_line(f"{type(error).__name__}: {error}")
        why = f"The figure {entry.title!r} cannot be drawn from these records: {what}."
        return None, None, why
    return drawn, None, None
