"""Headline numbers of every run, and what a reader must know before believing them."""

import collections
import textwrap

import numpy

from bnkit.report import frames
from bnkit.report.drawing import style
from bnkit.report.statistics import arms, training

# Characters of the reason of a run that failed.
LONGEST_REASON = 300


def headlines(runs):
    """One dict per run, in the order of the figures: identity, status and headline numbers.

    `accuracy` and `loss` are means over the last 50 training steps, `test` and `test_loss` are the
    accuracy and the loss of the last evaluation, `early` and `peak` the largest effective
    smoothness in the first 100 steps and after them, `width` the median over the probed steps of
    max - min of the loss along the gradient. A number that was not recorded is nan.
    """
    ordered = sorted(runs, key=lambda run: (*style.rank(_of(run, "norm")), run.study, run.name))
    return [_headline(run) for run in ordered]


def sentence(headline):
    """One line on how a run came out, for the terminal; what was not recorded is left out.

    Losses stand in for accuracies where there are none.
    """
    mean = f"(mean of the last {min(training.LAST, headline['steps'])} steps)"
    if numpy.isnan(headline["accuracy"]) and numpy.isnan(headline["test"]):
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
    known = [text for key, text in numbers.items() if not numpy.isnan(headline[key])]
    return f"{headline['run']} {headline['status']}: {', '.join(known) or 'nothing measured'}"


def warnings(headlines):
    """Sentences about runs that are not done, and about runs that never trained."""
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
            why = (
                f"its training loss, {one['loss']:.3g}, has not fallen to half of its first one"
                if one["is_regression"]
                else f"its training accuracy, {one['accuracy']:.1%}, is that of guessing among "
                f"{one['classes']} classes"
            )
            sentences.append(
                f"{name} never trained: {why}. Do not compare its smoothness: {training.FLAT}."
            )
    return sentences


def verdicts(claims):
    """Lines for the terminal: a count, and one line for every claim that has a number.

    Args:
      claims: list of dicts, as in `claims.json` (`page.read_claims`).
    """
    counts = collections.Counter(claim["verdict"] for claim in claims if _answered(claim))
    count = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    lines = [f"claims: {count or 'these runs decide none'}"]
    for claim in filter(_answered, claims):
        # What decided; the further clauses are in the report.
        why, _, _ = claim["reason"].partition("; ")
        lines.append(
            f"  {claim['verdict']:12}  {claim['id']}, {' against '.join(claim['arms'])} "
            f"({claim['condition']}): {effect(claim)} "
            f"{claim['unit']}, {claim['seeds']} seed{'s' * (claim['seeds'] != 1)}; {why}"
        )
    others = list(dict.fromkeys(claim["id"] for claim in claims if not _answered(claim)))
    if others:
        lines.append(f"  no runs or records for: {', '.join(others)}")
    return lines


def effect(claim):
    """Effect and interval of a claim, a dict, in words."""
    ends = f" [{', '.join(f'{end:.3g}' for end in claim['interval'])}]" if claim["interval"] else ""
    return f"{claim['effect']:.3g}{ends}"


_IN_WORDS = {"interrupted": "was interrupted", "diverged": "diverged", "failed": "failed"}


def _why(reason):
    """ ": " and the last line of a reason: of an error that TensorFlow wraps, the error itself."""
    lines = reason.strip().splitlines()
    return f": {textwrap.shorten(lines[-1], LONGEST_REASON, placeholder=' …')}" if lines else ""


def _answered(claim):
    return claim["effect"] is not None


def _of(run, setting):
    return run.settings.get(setting, "")


def _headline(run):
    train = frames.frame([run], "train")
    landscape = frames.frame([run], "landscape")
    evaluation = frames.frame([run], "eval")
    last = train[train["step"] > train["step"].max() - training.LAST]
    probed = arms.largest_smoothness(landscape)
    sizes = landscape.groupby("step")["loss_after_step"]
    # A loss that is no number is a loss without bound, as in the figure.
    highest = sizes.agg(lambda values: values.fillna(numpy.inf).max())
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
        "accuracy": _mean(last["accuracy"]),
        "loss": _mean(last["loss"]),
        "test": _last(evaluation["accuracy"]),
        "test_loss": _last(evaluation["loss"]),
        "early": float(probed.loc[probed["step"] < training.EARLY, "smoothness"].max()),
        "peak": float(probed.loc[probed["step"] >= training.EARLY, "smoothness"].max()),
        "width": _median(highest - sizes.min()),
        "classes": run.classes,
        "is_regression": run.is_regression,
        "never_trained": training.never_trained(train),
    }


def _last(values):
    values = values.dropna()
    return float(values.iloc[-1]) if len(values) else numpy.nan


def _mean(values):
    return float(values.mean()) if len(values) else numpy.nan


def _median(values):
    return float(values.median()) if len(values) else numpy.nan
