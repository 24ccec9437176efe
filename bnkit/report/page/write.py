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
import PIL.Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from bnkit import kinds
from bnkit.report import claims, frames
from bnkit.report.drawing import canvas, style
from bnkit.report.figures import FIGURES
from bnkit.report.page import headlines
from bnkit.report.runs import read_runs
from bnkit.report.statistics import training

DOTS_PER_INCH = 200
# CSS pixels of an inch of a figure: two of the narrow ones stand side by side.
PIXELS = 148
CLAIMS = "claims.json"
SYMBOLS = {claims.SUPPORTED: "✓", claims.CONTRADICTED: "✗", claims.INCONCLUSIVE: "?"}


def write_report(path, directory):
    """Draw everything about the runs at `path` into `directory`.

    Args:
      path: a run directory, a study directory, or the directory of studies.
      directory: made if missing. Gets `index.html`, which needs no other file and makes no request,
        `claims.json` (the verdicts: a list of `claims.Claim.to_dict()`), and `figures/NAME.png`
        (200 dpi), `.pdf` and `.csv` (what is drawn). Each file is replaced in one step, so that a
        reader never sees half of it.

    Returns:
      `pathlib.Path` of the page.

    Raises:
      ReportError: as `load_runs`.
    """
    runs = read_runs(path)
    directory = pathlib.Path(directory)
    (directory / "figures").mkdir(parents=True, exist_ok=True)
    tables = {kind: frames.frame(runs, kind) for kind in kinds.KINDS}
    tables["seconds"] = frames.seconds_frame(runs)
    drawn, left_out = [], []
    for entry in (entry for entry in FIGURES if entry.applies(runs)):
        kind = entry.missing(tables)
        if kind:
            left_out.append({"title": entry.title, "kind": kind, "column": entry.needs[kind]})
        else:
            drawn.append(_draw(entry, [tables[kind] for kind in entry.kinds], directory))
    verdicts = [claim.to_dict() for claim in claims.evaluate(runs)]
    content = json.dumps(verdicts, indent=1, ensure_ascii=False, allow_nan=False)
    _write(directory / CLAIMS, f"{content}\n".encode())
    page = directory / "index.html"
    _write(page, _render(runs, verdicts, drawn, left_out, tables["seconds"]).encode())
    return page


def read_claims(directory):
    """The verdicts of the report in `directory`, as dicts."""
    return json.loads((pathlib.Path(directory) / CLAIMS).read_text(encoding="utf-8"))


def _draw(entry, tables, directory):
    figure = entry.draw(*tables)
    files = {"pdf": io.BytesIO()}
    with matplotlib.rc_context(style.RC):
        # Not `savefig`: it goes through everything twice, which takes as long as the rest.
        figure.set_dpi(DOTS_PER_INCH)
        files["png"] = _png(FigureCanvasAgg(figure))
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
        "group": entry.group,
        "wide": figure.get_figwidth() > canvas.COLUMN_WIDTH,
        "width": round(figure.get_figwidth() * PIXELS),
        "image": base64.b64encode(files["png"].getvalue()).decode(),
    }


def _png(agg):
    """The figure in 256 colours: a third of the bytes, and no difference that is seen."""
    agg.draw()
    image = PIL.Image.fromarray(numpy.asarray(agg.buffer_rgba())).convert("RGB")
    # Median cut, which keeps the white; without dithering, which would cover areas with dots.
    image = image.quantize(256, PIL.Image.Quantize.MEDIANCUT, dither=PIL.Image.Dither.NONE)
    content = io.BytesIO()
    image.save(content, "png", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return content


def _write(path, content):
    """Replace a file in one step: whoever reads it meets the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _render(runs, verdicts, drawn, left_out, seconds):
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnkit.report.page", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(percent=_percent, number=_number, effect=headlines.effect)
    heads = headlines.headlines(runs)
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
        warnings=[*headlines.warnings(heads), *_makings(differing)],
        answered=[claim for claim in verdicts if claim["effect"] is not None],
        unanswered=[claim for claim in verdicts if claim["effect"] is None],
        symbols=SYMBOLS,
        least_seeds=claims.LEAST_SEEDS,
        figures=_grouped(drawn),
        left_out=left_out,
        seconds=_seconds(seconds),
        shared=shared,
        differing=differing,
        commands=[command for command in commands if command],
        last=training.LAST,
        early=training.EARLY,
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


def _grouped(drawn):
    """(group, its figures), in the order of `kinds.GROUPS`."""
    groups = {group: [one for one in drawn if one["group"] == group] for group in kinds.GROUPS}
    return [(group, members) for group, members in groups.items() if members]


def _seconds(table):
    """Names of the parts, and a row per run with its seconds for each; the total comes first."""
    if table.empty:
        return {"names": [], "rows": []}
    parts = table.pivot(index=["study", "run"], columns="part", values="seconds")
    parts = parts[list(dict.fromkeys(table["part"]))]
    parts.insert(0, "total", parts.sum(axis="columns"))
    rows = [{"run": run, "values": list(values)} for (_, run), values in parts.T.items()]
    return {"names": list(parts), "rows": rows}


def _makings(differing):
    """A sentence where versions or devices are not the same for all runs."""
    found = [
        f"{name} ({', '.join(dict.fromkeys(row['values'][number] for row in differing['rows']))})"
        for number, name in enumerate(differing["names"])
        if name.startswith(("versions.", "device."))
    ]
    return [f"The runs differ in {', '.join(found)}: compare their times with care."] * bool(found)


def _settings(runs):
    """What all runs share by group as (name, value), and what differs as names and rows."""
    flat = [_flatten(run) for run in runs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    differ = [name for name in names if len({one.get(name, "-") for one in flat}) > 1]
    shared = {"Settings": [], **{group: [] for group in _HOMES.values()}}
    for name in names:
        if name not in differ:
            shared[_HOMES.get(name.partition(".")[0], "Settings")].append((name, flat[0][name]))
    rows = [
        {"run": run.name, "values": [one.get(name, "-") for name in differ]}
        for run, one in zip(runs, flat, strict=True)
    ]
    shared = [(group, values) for group, values in shared.items() if values]
    return shared, {"names": differ, "rows": rows if differ else []}


_HOMES = {
    "data": "Data and model",
    "parameters": "Data and model",
    "versions": "Versions and device",
    "device": "Versions and device",
    "created": "Versions and device",
}


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
