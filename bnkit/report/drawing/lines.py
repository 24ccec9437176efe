"""What is drawn inside a panel: curves of runs and their means, areas, arrows and crosses."""

import collections.abc
import typing

import numpy as np

from bnkit.report import naming
from bnkit.report.drawing import canvas, style
from bnkit.report.statistics import arms

# Steps that a running mean is over.
WINDOW = 10
# Above the end of every axis: where an area without an upper end is drawn to.
BEYOND = 1e200


class Mark(typing.NamedTuple):
    """A way to draw a table in a panel.

    Attributes:
        draw: `draw(axes, table, x, dotted)` draws the rows of one panel against column `x`.
        columns: The columns of `table` with the values that it draws.
        handles: `handles(table)` gives the legend entries, beside those of the normalisations.
    """

    draw: collections.abc.Callable
    columns: tuple
    handles: collections.abc.Callable


def line(axes, x, values, **look):
    """A line: a gap where a value is not finite, an arrow at the top where it is infinite."""
    x, values = np.asarray(x, dtype=float), np.asarray(values, dtype=float)
    finite = np.isfinite(values)
    breaks = np.flatnonzero(np.diff(finite)) + 1
    for stretch in np.split(np.arange(len(x)), breaks):
        if finite[stretch].any():
            axes.plot(x[stretch], values[stretch], **look)
    arrows(axes, x[np.isposinf(values)], look["color"])


def arrows(axes, x, colour):
    """Triangles at the top of the panel: the value is infinite there."""
    if len(x):
        height = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot(x, np.full(len(x), 0.98), color=colour, **height, **canvas.TRIANGLE)


def crosses(axes, x, values, colour):
    """Where a run diverged."""
    edge = {"edgecolor": style.INK, "linewidth": 0.6}
    axes.scatter(x, values, marker="X", s=34, color=colour, clip_on=False, zorder=5, **edge)


def draw_curves(axes, table, x="step", dotted=False):
    """Runs light, the mean of an arm strong, its interval as an area (`arms.curves`)."""
    look = {"linewidth": 1.4}
    if dotted:
        look |= {"marker": "o", "markersize": 3.2, "markeredgewidth": 0, "clip_on": False}
    for norm in arms.norms(table):
        colour = naming.colour(norm)
        arm = table[table["norm"] == norm]
        for name, run in arm[arm["series"] == "run"].groupby("run"):
            line(axes, run[x], run["value"], color=colour, linewidth=0.6, alpha=0.4, gid=name)
        mean = arm[arm["series"] == "mean"]
        if np.isfinite(mean[["low", "high"]]).all(axis=1).any():
            axes.fill_between(
                mean[x], mean["low"], mean["high"], color=colour, alpha=0.14, linewidth=0
            )
        line(axes, mean[x], mean["value"], color=colour, **look)


def interval_handles(table):
    """Legend entry of the mean over several runs, with its interval where there is one."""
    counts = sorted({int(one) for one in table["runs"].dropna()} - {0, 1})
    if not counts:
        return []
    runs = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    if table["low"].isna().all():
        return [canvas.line_handle(f"mean of {runs} runs", color=style.QUIET, linewidth=1.4)]
    label = f"mean of {runs} runs, 95 % t interval"
    return [canvas.patch_handle(label, style.QUIET, alpha=0.3)]


def thin_handle(label):
    """Legend entry of single runs or steps."""
    return canvas.line_handle(label, color=style.QUIET, linewidth=0.6, alpha=0.6)


def diverged_handle():
    """Legend entry of the end of a run that diverged."""
    return canvas.line_handle("diverged", color=style.QUIET, marker="X", linestyle="none")


def _run_handles(table):
    interval = interval_handles(table)
    return [thin_handle("each run"), *interval] if interval else []


CURVES = Mark(draw_curves, ("value",), _run_handles)


def bands(middle=None, handles=lambda table: []):
    """A `Mark`: the area from `low` to `high`, and a line at the column `middle` (`arms.bands`).

    Several runs of an arm (`series` "run") have an area each, their mean has lines at its edges.
    Where an area has no upper end it leaves the panel at the top, with an arrow where it begins to.
    """

    def draw(axes, table, x, dotted):
        for norm in arms.norms(table):
            arm, colour = table[table["norm"] == norm], naming.colour(norm)
            runs, mean = [], arm
            if "series" in arm:
                runs = [run for _, run in arm[arm["series"] == "run"].groupby("run")]
                mean = arm[arm["series"] == "mean"]
            for one in runs or [mean]:
                ends = np.clip(one[["low", "high"]].to_numpy(dtype=float).T, None, BEYOND)
                # Where the areas of all runs lie on one another they are as dark as a single one.
                alpha = 1 - 0.7 ** (1 / max(len(runs), 1))
                axes.fill_between(one[x], *ends, color=colour, alpha=alpha, linewidth=0)
            low, high = (mean[name].to_numpy(dtype=float) for name in ("low", "high"))
            for edge in (low, high):
                edge = np.where(np.isposinf(edge), np.nan, edge)
                line(axes, mean[x], edge, color=colour, linewidth=0.6, alpha=0.8)
            unbounded = np.isposinf(high)
            begins = unbounded & ~np.append(False, unbounded[:-1])
            arrows(axes, mean[x].to_numpy()[begins], colour)
            if middle:
                line(axes, mean[x], mean[middle], color=colour, linewidth=1.3)

    return Mark(draw, ("low", "high", *filter(None, [middle])), handles)
