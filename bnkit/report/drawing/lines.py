"""The curves of one panel: every run, the mean of an arm, and its interval."""

import numpy

from bnkit.report.drawing import canvas, style
from bnkit.report.statistics import arms

# Steps that a running mean is over.
WINDOW = 10
# Evaluations closer together than this many in a panel are a line without dots.
MOST_DOTS = 60


def draw(axes, table, marker=None, x="step"):
    """The curves of one panel: runs light, the mean of an arm strong, its interval as an area."""
    for norm in arms.norms(table):
        colour = style.colour(norm)
        arm = table[table["norm"] == norm]
        for _, run in arm[arm["series"] == "run"].groupby("run"):
            canvas.line(axes, run[x], run["value"], color=colour, linewidth=0.6, alpha=0.4)
        mean = arm[arm["series"] == "mean"]
        known = mean[numpy.isfinite(mean["low"]) & numpy.isfinite(mean["high"])]
        if len(known):
            axes.fill_between(
                mean[x], mean["low"], mean["high"], color=colour, alpha=0.14, linewidth=0
            )
        look = (
            {"marker": marker, "markersize": 3.2, "markeredgewidth": 0, "clip_on": False}
            if marker
            else {}
        )
        canvas.line(axes, mean[x], mean["value"], color=colour, linewidth=1.4, **look)


def mean_label(table):
    """ "mean of 3 runs, 95 % interval", or nothing where every arm is a single run."""
    counts = sorted({int(one) for one in table["runs"].dropna()} - {0, 1})
    if not counts:
        return ""
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean of {runs} runs, 95 % interval"


def run_handles(table):
    """Legend entries of the runs that a mean is over, and of its interval."""
    interval = interval_handles(table)
    return [thin_handle("each run"), *interval] if interval else []


def diverged_handle():
    """Legend entry of the end of a run that diverged."""
    return canvas.line_handle("diverged", color=style.QUIET, marker="X", linestyle="none")


def thin_handle(label):
    return canvas.line_handle(label, color=style.QUIET, linewidth=0.6, alpha=0.6)


def interval_handles(table):
    label = mean_label(table)
    return [canvas.patch_handle(label, style.QUIET, alpha=0.3)] * bool(label)
