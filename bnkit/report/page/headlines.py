"""Headline numbers of every run, and what a reader must know before believing them."""

import collections
import textwrap

import numpy as np

from bnkit.report import claims, frames
from bnkit.report.claims.file import NAME
from bnkit.report.drawing import style
from bnkit.report.page import answer, effects, scorecard
from bnkit.report.statistics import arms, training

NEXT = "One run decides no claim; this study would"
# Characters of the reason of a run that failed.
LONGEST_REASON = 300


def headlines(runs):
    """One dict per run, in the order of the figures: settings, status and headline numbers.

    `accuracy` and `loss` are means over the last 50 training steps, `test` and `test_loss` are the
    accuracy and the loss of the last evaluation, `early` and `peak` the largest effective
    smoothness in the first 100 steps and after them, `loss_range` is the median over the probed
    steps of the largest minus the smallest loss along the gradient. A number that was not recorded
    is NaN.
    """
    ordered = sorted(runs, key=lambda run: (*style.rank(_of(run, "norm")), run.study, run.name))
    return [_headline(run) for run in ordered]


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


def warnings(headlines):
    """Sentences on runs that did not finish, and on runs that never trained."""
    sentences = []
    for one in headlines:
        name, status = f"{one['study']}/{one['run']}", one["status"]
        reason = _why(one["reason"])
        if status == "running":
            sentences.append(f"{name} had not ended when this was drawn.")
        elif status == "unknown":
            sentences.append(f"{name} has no status.json: it is not known to have ended.")
        elif status != "done":
            sentences.append(f"{name} {_IN_WORDS.get(status, f'has status {status}')}{reason}.")
        if one["never_trained"]:
            sentences.append(
                f"{name} never trained: {_why_untrained(one)}. Do not compare its smoothness: "
                f"{training.FLAT}."
            )
    return sentences


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


_IN_WORDS = {"interrupted": "was interrupted", "diverged": "diverged", "failed": "failed"}


def _why(reason):
    """The last line of a reason, after a colon: the error itself if TensorFlow has wrapped it."""
    lines = reason.strip().splitlines()
    return f": {textwrap.shorten(lines[-1], LONGEST_REASON, placeholder=' …')}" if lines else ""


def _why_untrained(one):
    if one["is_regression"]:
        return f"its training loss, {one['loss']:.3g}, has not fallen to half of its first one"
    return (
        f"its training accuracy, {one['accuracy']:.1%}, is that of guessing among "
        f"{one['classes']} classes"
    )


def _of(run, setting):
    return run.settings.get(setting, "")


def _headline(run):
    train = frames.frame([run], "train")
    landscape = frames.frame([run], "landscape")
    evaluation = frames.frame([run], "eval")
    last = train[train["step"] > train["step"].max() - training.LAST]
    probed = arms.largest_smoothness(landscape)
    losses = landscape["loss_after_step"]
    # A loss that is NaN counts as unbounded, as in the figure.
    highest = losses.fillna(np.inf).groupby(landscape["step"]).max()
    lowest = losses.groupby(landscape["step"]).min()
    return {
        "study": run.study,
        "run": run.name,
        "norm": _of(run, "norm"),
        "colour": style.colour(_of(run, "norm")),
        "lr": _of(run, "lr"),
        "seed": _of(run, "seed"),
        "status": run.state,
        "reason": run.status.get("reason", ""),
        "steps": run.status.get("steps", len(train)),
        "accuracy": float(last["accuracy"].mean()),
        "loss": float(last["loss"].mean()),
        "test": _last(evaluation["accuracy"]),
        "test_loss": _last(evaluation["loss"]),
        "early": float(probed.loc[probed["step"] < training.EARLY, "smoothness"].max()),
        "peak": float(probed.loc[probed["step"] >= training.EARLY, "smoothness"].max()),
        "loss_range": float((highest - lowest).median()),
        "classes": run.classes,
        "is_regression": run.is_regression,
        "never_trained": training.never_trained(train),
        "deciding_command": answer.deciding_command(run),
    }


def _last(values):
    values = values.dropna()
    return float(values.iloc[-1]) if len(values) else np.nan
