"""A report on disk: the page, the verdicts, and every figure as PNG, PDF and CSV."""

import json
import logging
import pathlib

from bnkit import kinds, waiting
from bnkit.messages import one_line
from bnkit.report import claims, frames
from bnkit.report.figures import FIGURES
from bnkit.report.page import figure_files, html
from bnkit.report.runs import read_sound_runs
from bnkit.store import replace_file

CLAIMS = "claims.json"
PAGE = "index.html"

_log = logging.getLogger(__name__)


def write_report(path, directory, progress=False):
    """Draws everything about the runs at `path` into `directory`.

    Args:
        path: A run directory, a study directory, or the directory of studies.
        directory: Made if missing. Gets `index.html`, which needs no other file and makes no
            request, `claims.json` (the verdicts: a list of `claims.Claim.to_dict()`), and
            `figures/NAME.png` (200 dpi), `.pdf` and `.csv` (what is drawn). Each file is replaced
            in one step, so that a reader never sees half of it.
        progress: Whether to show how far it is.

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
    drawn, left_out, failures = _draw(runs, tables, directory, progress)
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


def _draw(runs, tables, directory, progress):
    """Draws what applies to the runs.

    Returns:
        The figures drawn, and those that lack values, as dicts; sentences on those that cannot be
        drawn.
    """
    drawn, left_out, failures = [], [], []
    entries = [entry for entry in FIGURES if entry.applies(runs)]
    with waiting.shown(len(entries), "drawing the report", "figure", is_shown=progress) as shown:
        for number, entry in enumerate(entries, start=1):
            kind = entry.missing(tables)
            if kind:
                left_out.append({"title": entry.title, "kind": kind, "column": entry.needs[kind]})
                continue
            try:
                entry_tables = [tables[kind] for kind in entry.kinds]
                drawn.append(figure_files.save(entry, entry_tables, directory))
            except OSError:
                raise
            except Exception as error:
                # Records that were edited by hand may hold anything; the other figures are sound.
                what = one_line(f"{type(error).__name__}: {error}")
                failures.append(
                    f"The figure {entry.title!r} cannot be drawn from these records: {what}."
                )
            shown.at(number)
    return drawn, left_out, failures
