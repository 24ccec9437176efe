"""The report page: one HTML file that needs nothing else."""

import base64
import datetime
import hashlib
import shlex

import jinja2
import markupsafe
import numpy as np

from bnkit import kinds
from bnkit.report import claims, naming
from bnkit.report.drawing import style
from bnkit.report.page import answer, comparison, effects, headlines, scorecard
from bnkit.report.statistics import training
from bnkit.report.statistics.headline import warnings

# Scorecards that are open; those of further conditions fold out.
MOST_OPEN = 4
# The figure that the page opens with, if it is there.
OPENING = "loss_band"
SYMBOLS = {claims.SUPPORTED: "✓", claims.CONTRADICTED: "✗", claims.INCONCLUSIVE: "?"}


def render(runs, damages, verdicts, drawn, left_out, seconds):
    """The text of the page.

    Args:
        runs: List of `runs.Run`.
        damages: Sentences on runs that are left out.
        verdicts: Claims as dicts, as in `claims.json`.
        drawn: What `figure_files.save` returned for each figure.
        left_out: The figures that lack values, as dicts with `title`, `kind` and `column`.
        seconds: The table of `frames.seconds_frame`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnkit.report.page", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        percent=_percent,
        number=_number,
        effect=effects.read,
        logarithm=_logarithm,
        parts=effects.parts,
        p=_p,
        arm=_arm,
        swatch=_swatch,
    )
    # Where a cell of the scorecard leads to.
    verdicts = [{**claim, "anchor": f"claim-{i}"} for i, claim in enumerate(verdicts, start=1)]
    of_study = [claim for claim in verdicts if claim["of_study"]]
    heads = headlines.headlines(runs)
    shared, differing = comparison.compare(runs)
    commands = list(dict.fromkeys(map(_command, runs)))
    script = environment.get_template("script.js.j2").render()
    return environment.get_template("page.html.j2").render(
        script=markupsafe.Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        on_dark=_on_dark(runs),
        title=_title(runs),
        compared=answer.compared(runs, heads),
        answer=answer.answer(verdicts),
        alone=_alone(heads),
        heads=heads,
        several=len(runs) > 1,
        classify=not all(head["is_regression"] for head in heads),
        regress=any(head["is_regression"] for head in heads),
        studies=len({run.study for run in runs}) > 1,
        warnings=[*damages, *warnings(heads), *comparison.warnings(differing)],
        scorecards=scorecard.tables(verdicts),
        most_open=MOST_OPEN,
        pairs=scorecard.details(verdicts),
        apart=scorecard.apart(verdicts),
        comparisons=scorecard.comparisons(verdicts),
        answered=[claim for claim in of_study if claim["effect"] is not None],
        unanswered=[claim for claim in of_study if claim["effect"] is None],
        symbols=SYMBOLS,
        least_seeds=claims.LEAST_SEEDS,
        opening=_first(drawn),
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


def _alone(heads):
    """What a single run shows, and the command that would decide the claims; None of several."""
    if len(heads) > 1:
        return None
    (head,) = heads
    command = head["deciding_command"]
    return {"result": headlines.result(head), "next": headlines.NEXT, "command": command}


def _on_dark(runs):
    """Pairs of an arm's colour, without `#`, and the one that stands for it on a dark page."""
    colours = dict.fromkeys(naming.colour(run.settings.get("norm", "")).lower() for run in runs)
    pairs = [(colour[1:], style.on_dark(colour)) for colour in colours]
    return [(colour, lighter) for colour, lighter in pairs if lighter != f"#{colour}"]


def _swatch(norm):
    """The colour of an arm in CSS."""
    colour = naming.colour(norm).lower()
    return f"var(--on-{colour[1:]}, {colour})"


def _first(drawn):
    """The figure that the page opens with."""
    return next((one for one in drawn if one["entry"] == OPENING), next(iter(drawn), None))


def _grouped(drawn):
    """`(part, groups)`, groups being pairs of a group and its figures in the order of `kinds`."""
    found = []
    for part in dict.fromkeys(one["part"] for one in drawn):
        members = [one for one in drawn if one["part"] == part]
        groups = [
            (group, [one for one in members if one["group"] == group]) for group in kinds.GROUPS
        ]
        found.append((part, [(group, some) for group, some in groups if some]))
    return found


def _seconds(table):
    """Names of the parts, and a row per run with its seconds for each; the total comes first."""
    if table.empty:
        return {"names": [], "rows": []}
    parts = table.pivot(index=["study", "run"], columns="part", values="seconds")
    parts = parts[list(dict.fromkeys(table["part"]))]
    parts.insert(0, "total", parts.sum(axis="columns"))
    rows = [{"run": run, "values": list(values)} for (_, run), values in parts.T.items()]
    return {"names": list(parts), "rows": rows}


def _command(run):
    return shlex.join(map(str, run.description.get("command", [])))


def _percent(value):
    return f"{100 * value:.1f} %" if np.isfinite(value) else "-"


def _arm(norm):
    """The parts of a normalisation's label between which a line may break."""
    module, colon, name = naming.plain(norm).rpartition(":")
    return [part for part in (module + colon, name) if part]


def _logarithm(claim):
    """Effect and interval as they were averaged, with their unit; "" where that is what is read."""
    if not claim["unit"].endswith("ratio"):
        return ""
    return f"{claims.in_words(claim['effect'], claim['interval'])} {claim['unit']}"


def _p(value):
    return "p < 0.001" if value < 0.001 else f"p {value:.2g}"


def _number(value):
    return "-" if np.isnan(value) else f"{value:.3g}"
