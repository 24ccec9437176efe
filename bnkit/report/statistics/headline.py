"""Headline numbers of a run, and what a reader must know before believing them.

The end of a run and the terminal show them, too, in processes that draw nothing: what is imported
here must be light.
"""

import textwrap

import numpy as np

from bnkit.report import frames, naming
from bnkit.report.statistics import training
from bnkit.report.statistics.smoothness import largest_smoothness

# Characters of the reason of a run that failed.
LONGEST_REASON = 300
_IN_WORDS = {"interrupted": "was interrupted", "diverged": "diverged", "failed": "failed"}


def headline(run):
    """Settings, status and headline numbers of a run (`runs.Run`), as a dict.

    `accuracy` and `loss` are means over the last 50 training steps, `test` and `test_loss` are the
    accuracy and the loss of the last evaluation, `early` and `peak` the largest effective
    smoothness in the first 100 steps and after them, `loss_range` is the median over the probed
    steps of the largest minus the smallest loss along the gradient. A number that was not recorded
    is NaN.
    """
    train = frames.frame([run], "train")
    landscape = frames.frame([run], "landscape")
    evaluation = frames.frame([run], "eval")
    last = train[train["step"] > train["step"].max() - training.LAST]
    probed = largest_smoothness(landscape)
    losses = landscape["loss_after_step"]
    # A loss that is NaN counts as unbounded, as in the figure.
    highest = losses.fillna(np.inf).groupby(landscape["step"]).max()
    lowest = losses.groupby(landscape["step"]).min()
    return {
        "study": run.study,
        "run": run.name,
        "norm": run.settings.get("norm", ""),
        "colour": naming.colour(run.settings.get("norm", "")),
        "lr": run.settings.get("lr", ""),
        "seed": run.settings.get("seed", ""),
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
    }


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


def _last(values):
    values = values.dropna()
    return float(values.iloc[-1]) if len(values) else np.nan
