"""The report page: one HTML file that needs nothing else, and every figure as PNG, PDF and CSV."""

import base64
import datetime
import io
import json
import os
import pathlib
import shlex

import jinja2
import matplotlib
import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from bnkit.report import canvas, frames, style, summary
from bnkit.report.figures import FIGURES

DOTS_PER_INCH = 200
# CSS pixels of an inch of a figure: two of the narrow ones stand side by side.
PIXELS = 148


def write_report(path, directory):
    """Draw everything about the runs at `path` into `directory`.

    Args:
      path: a run directory, a study directory, or the directory of studies.
      directory: made if missing. Gets `index.html`, which needs no other file and makes no request,
        and `figures/NAME.png` (200 dpi), `.pdf` and `.csv` (what is drawn). Each file is
        replaced in one step, so that a reader never sees half of it.

    Returns:
      `pathlib.Path` of the page.

    Raises:
      ReportError: as `load_runs`.
    """
    runs = frames.read_runs(path)
    directory = pathlib.Path(directory)
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    tables = {kind: frames.frame(runs, kind) for kind in frames.FIELDS}
    tables["seconds"] = frames.seconds_frame(runs)
    drawn, left_out = [], []
    for entry in (entry for entry in FIGURES if entry.applies(runs)):
        kind = entry.missing(tables)
        if kind:
            left_out.append({"title": entry.title, "kind": kind, "column": entry.needs[kind]})
        else:
            drawn.append(_draw(entry, [tables[kind] for kind in entry.kinds], directory))
    page = directory / "index.html"
    _write(page, _render(runs, drawn, left_out).encode())
    return page


def _draw(entry, tables, directory):
    figure = entry.draw(*tables)
    files = {"png": io.BytesIO(), "pdf": io.BytesIO()}
    with matplotlib.rc_context(style.RC):
        # Not `savefig`: it goes through everything twice, which takes as long as the rest.
        figure.set_dpi(DOTS_PER_INCH)
        FigureCanvasAgg(figure).print_png(files["png"], metadata={"Software": None})
        # The panels have their places now: finding them again takes as long as drawing.
        figure.set_layout_engine("none")
        FigureCanvasPdf(figure).print_pdf(files["pdf"], metadata={"CreationDate": None})
    csv = entry.data(*tables).to_csv(index=False)
    for suffix, content in (*((s, f.getvalue()) for s, f in files.items()), ("csv", csv.encode())):
        _write(directory / "figures" / f"{entry.name}.{suffix}", content)
    return {
        "name": entry.name,
        "title": entry.title,
        "caption": entry.caption,
        "source": entry.source,
        "wide": figure.get_figwidth() > canvas.COLUMN_WIDTH,
        "width": round(figure.get_figwidth() * PIXELS),
        "image": base64.b64encode(files["png"].getvalue()).decode(),
    }


def _write(path, content):
    """Replace a file in one step: whoever reads it meets the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _render(runs, drawn, left_out):
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnkit.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(percent=_percent, number=_number)
    heads = summary.headlines(runs)
    shared, differing = _settings(runs)
    commands = list(dict.fromkeys(map(_command, runs)))
    return environment.get_template("page.html.j2").render(
        title=_title(runs),
        subtitle=_subtitle(runs, heads),
        heads=heads,
        several=len(runs) > 1,
        classify=not all(head["is_regression"] for head in heads),
        regress=any(head["is_regression"] for head in heads),
        studies=len({run.study for run in runs}) > 1,
        warnings=summary.warnings(heads),
        figures=drawn,
        left_out=left_out,
        shared=shared,
        differing=differing,
        commands=[command for command in commands if command],
        last=summary.LAST,
        early=summary.EARLY,
        drawn_at=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _title(runs):
    studies = list(dict.fromkeys(run.study for run in runs))
    return f"{studies[0]} / {runs[0].name}" if len(runs) == 1 else ", ".join(studies)


def _subtitle(runs, heads):
    """One line: what was trained on what, how often, and how it went."""
    models = _listed(run.settings.get("model") for run in runs)
    data = _listed(run.settings.get("dataset") for run in runs)
    norms = _listed(head["norm"] for head in heads)
    rates = _listed(head["lr"] for head in heads)
    done = sum(head["status"] == "done" for head in heads)
    count = f"{len(runs)} runs, {done} done" if len(runs) > 1 else heads[0]["status"]
    return f"{models} on {data}; normalisation {norms}; learning rate {rates}; {count}"


def _listed(values):
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _settings(runs):
    """What all runs share as (name, value), and what differs as names and a row per run."""
    flat = [_flatten(run) for run in runs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    differ = [name for name in names if len({one.get(name, "-") for one in flat}) > 1]
    shared = [(name, flat[0][name]) for name in names if name not in differ]
    rows = [
        {"run": run.name, "values": [one.get(name, "-") for name in differ]}
        for run, one in zip(runs, flat, strict=True)
    ]
    return shared, {"names": differ, "rows": rows if differ else []}


def _flatten(run):
    groups = {
        "": run.settings,
        "data.": run.description.get("data", {}),
        "versions.": run.description.get("versions", {}),
        "device.": run.description.get("device", {}),
    }
    flat = {
        f"{group}{name}": value if isinstance(value, str) else json.dumps(value)
        for group, values in groups.items()
        for name, value in values.items()
    }
    for name in ("parameters", "created"):
        if name in run.description:
            flat[name] = str(run.description[name])
    return flat


def _command(run):
    command = run.description.get("command", [])
    return shlex.join(map(str, command))


def _percent(value):
    return f"{100 * value:.1f} %" if numpy.isfinite(value) else "-"


def _number(value):
    return "-" if numpy.isnan(value) else f"{value:.3g}"
