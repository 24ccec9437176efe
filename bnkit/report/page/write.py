"""A report on disk: the page, the verdicts, and every figure as PNG, PDF and CSV."""

import concurrent.futures
import functools
import json
import logging
import multiprocessing
import pathlib

from bnkit import kinds
from bnkit.messages import one_line
from bnkit.report import claims, frames
from bnkit.report.figures import FIGURES
from bnkit.report.page import figure_files, html
from bnkit.report.runs import read_sound_runs
from bnkit.store import replace_file

CLAIMS = "claims.json"
PAGE = "index.html"

_log = logging.getLogger(__name__)


def write_report(path, directory, processes=1):
    """Draws everything about the runs at `path` into `directory`.

    Args:
        path: A run directory, a study directory, or the directory of studies.
        directory: Made if missing. Gets `index.html`, which needs no other file and makes no
            request, `claims.json` (the verdicts: a list of `claims.Claim.to_dict()`), and
            `figures/NAME.png` (200 dpi), `.pdf` and `.csv` (what is drawn). Each file is replaced
            in one step, so that a reader never sees half of it.
        processes: How many figures are drawn at a time, each in a process of its own. More than
            one are for programs whose main module does nothing when it is imported.

    A run that is damaged is left out, as is a figure that cannot be drawn from what is recorded;
    the page and a log message say so.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        ReportError: If there is nothing at `path`, or no run there can be read.
    """
    runs, damages = read_sound_runs(path)
    directory = pathlib.Path(directory)
    (directory / figure_files.FOLDER).mkdir(parents=True, exist_ok=True)
    tables = {kind: frames.frame(runs, kind) for kind in kinds.KINDS}
    tables["seconds"] = frames.seconds_frame(runs)
    drawn, left_out, failures = _draw(runs, tables, directory, processes)
    damages = [*damages, *failures]
    for damage in damages:
        _log.warning("%s", damage)
    verdicts = [claim.to_dict() for claim in claims.evaluate(runs)]
    content = json.dumps(verdicts, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(directory / CLAIMS, f"{content}\n".encode())
    page = directory / PAGE
    text = html.render(runs, damages, verdicts, drawn, left_out, tables["seconds"])
    replace_file(page, text.encode())
    return page


def read_claims(directory):
    """The verdicts of the report in `directory`, as dicts."""
    return json.loads((pathlib.Path(directory) / CLAIMS).read_text(encoding="utf-8"))


def _draw(runs, tables, directory, processes):
    """Draws what applies to the runs.

    Returns:
        The figures drawn, and those that lack values, as dicts; sentences on those that cannot be
        drawn.
    """
    drawn, left_out, failures, entries = [], [], [], []
    for entry in FIGURES:
        if not entry.applies(runs):
            continue
        kind = entry.missing(tables)
        if kind:
            left_out.append({"title": entry.title, "kind": kind, "column": entry.needs[kind]})
        else:
            entries.append(entry)
    for entry, result in zip(entries, _save(entries, tables, directory, processes), strict=True):
        try:
            drawn.append(result())
        except OSError:
            raise
        except Exception as error:
            # Records that were edited by hand may hold anything; the other figures are sound.
            what = one_line(f"{type(error).__name__}: {error}")
            failures.append(
                f"The figure {entry.title!r} cannot be drawn from these records: {what}."
            )
    return drawn, left_out, failures


def _save(entries, tables, directory, processes):
    """Yields for each entry a function that gives what `figure_files.save` does of it."""
    arguments = [
        (entry.name, [tables[kind] for kind in entry.kinds], directory) for entry in entries
    ]
    if processes == 1:
        for one in arguments:
            yield functools.partial(_save_one, *one)
        return
    # A fork would inherit locks of TensorFlow's threads, which are gone then.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        for future in [pool.submit(_save_one, *one) for one in arguments]:
            yield future.result


def _save_one(name, tables, directory):
    (entry,) = (entry for entry in FIGURES if entry.name == name)
    return figure_files.save(entry, tables, directory)
