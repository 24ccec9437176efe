"""What a report says at the terminal: how runs came out, and the verdicts."""

import collections

import numpy as np

from bnkit.report import claims, naming
from bnkit.report.claims.file import NAME
from bnkit.report.page import answer, effects, scorecard
from bnkit.report.statistics import training
from bnkit.report.statistics.headline import headline

NEXT = "One run decides no claim; this study would"


def headlines(runs):
    """One dict per run, in the order of the figures: its `headline` and its `deciding_command`."""
    ordered = sorted(runs, key=_order)
    return [{**headline(run), "deciding_command": answer.deciding_command(run)} for run in ordered]


def sentence(headline, python="python"):
    """How a run came out, and the command that would decide the claims on it, for the terminal.

    It gives accuracies, or losses if there are none; what was not recorded is left out.

    Args:
        headline: One of `headlines`.
        python: How the interpreter is called in the shell of who reads it.
    """
    told = f"{headline['run']} {headline['status']}: {result(headline)}"
    if not headline["deciding_command"]:
        return told
    return f"{told}\n{NEXT}: {python}{headline['deciding_command'].removeprefix('python')}"


def result(headline):
    """What a run shows by itself, in words."""
    mean = f"(mean of the last {min(training.LAST, headline['steps'])} steps)"
    if np.isnan(headline["accuracy"]) and np.isnan(headline["test"]):
        numbers = {
            "loss": f"training loss {headline['loss']:.3g} {mean}",
            "test_loss": f"test loss {headline['test_loss']:.3g}",
        }
    else:
        numbers = {
            "accuracy": f"training accuracy {headline['accuracy']:.1%} {mean}",
            "test": f"test accuracy {headline['test']:.1%}",
        }
    numbers["peak"] = f"peak smoothness {headline['peak']:.3g} (after step {training.EARLY})"
    known = [text for key, text in numbers.items() if not np.isnan(headline[key])]
    return ", ".join(known) or "nothing measured"


def verdicts(found):
    """Lines for the terminal: every claim of the study with a number; the scorecard; the answer.

    Args:
        found: List of dicts, as in `claims.json` (`read_claims`).
    """
    of_study = [claim for claim in found if claim["of_study"]]
    answered = [claim for claim in of_study if claim["effect"] is not None]
    counts = collections.Counter(claim["verdict"] for claim in answered)
    count = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    lines = [f"claims: {count or 'these runs decide none'}"]
    for claim in answered:
        between = " against ".join(filter(None, (claim["arm"], claim["baseline"])))
        lines.append(
            f"  {claim['verdict']:12}  {claim['id']}, {between} ({claim['condition']}): "
            f"{_effect(claim)}, {_why_so(claim)}"
        )
    missing = [(claim["id"], claim["brief"]) for claim in of_study if claim["effect"] is None]
    lines += _without_numbers(missing, "  no number") + _scorecard(found)
    told = answer.answer(found)
    return [*lines, f"answer: {told}"] if told else lines


def _scorecard(found):
    """Every arm against every baseline, with what was asked of it by verdict."""
    lines = []
    for table in scorecard.tables(found):
        for group in table["groups"]:
            for row in group["rows"]:
                lines.append(f"  {row['arm']} against {group['baseline']} ({table['condition']})")
                lines += _row([cell for cell in row["cells"] if cell])
        reasons = {one["question"]: one["brief"] for one in table["left_out"]}
        lines += _without_numbers(reasons.items(), f"  no arm ({table['condition']}) has a number")
    lines += [
        f"  {arm} against {baseline}: no runs with the same settings"
        for arm, baseline in scorecard.apart(found)
    ]
    if not lines:
        return []
    count = scorecard.comparisons(found)
    return [f"scorecard: {count} comparisons at once; p-values are in {NAME}", *lines]


def _row(cells):
    lines = []
    answered = [cell for cell in cells if cell["effect"] is not None]
    for verdict in (claims.SUPPORTED, claims.CONTRADICTED, claims.INCONCLUSIVE):
        found = [f"{c['question']} {effects.read(c)}" for c in answered if c["verdict"] == verdict]
        if found:
            lines.append(f"    {verdict:12}  {', '.join(found)}")
    missing = [(cell["question"], cell["brief"]) for cell in cells if cell["effect"] is None]
    return lines + _without_numbers(missing, "    no number")


def _without_numbers(missing, start):
    """A line that groups claims, pairs of a name and a reason, by the reason; or no line."""
    names = {}
    for name, why in missing:
        names.setdefault(why, {})[name] = None
    told = "; ".join(f"{', '.join(ones)} ({why})" for why, ones in names.items())
    return [f"{start} for: {told}"] if told else []


def _effect(claim):
    unit = "" if claim["baseline"] else f" {claim['unit']}"
    return f"{effects.read(claim)}{unit}"


def _why_so(claim):
    """How many seeds; of an inconclusive claim also what it lacks, which names too few of them."""
    if claim["seeds"] < claims.LEAST_SEEDS:
        return claim["brief"]
    seeds = f"{claim['seeds']} seeds"
    return f"{seeds}; {claim['brief']}" if claim["verdict"] == claims.INCONCLUSIVE else seeds


def _order(run):
    return *naming.rank(run.settings.get("norm", "")), run.study, run.name
